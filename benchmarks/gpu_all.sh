#!/usr/bin/env bash
# All that a GPU is asked for, within 12 minutes: every command, the table, a study and a segmentation; then which goals
# were met. Run it in the repository's root, in an environment where `import meddiff` works:
#
#     bash benchmarks/gpu_all.sh [OUT]              # results in OUT (benchmarks/results/gpu)
#     bash benchmarks/gpu_all.sh --rehearse [OUT]   # everything at its smallest, on the CPU
#     WHEELS=folder bash benchmarks/gpu_all.sh      # installs the wheels of a folder first, no index is asked
#     HAM10000=folder bash benchmarks/gpu_all.sh    # trains on that copy of the images, else on drawn ones
set -uo pipefail
rehearse=
[ "${1:-}" = --rehearse ] && { rehearse=1; shift; }
out=${1:-benchmarks/results/gpu}
mkdir -p "$out"
runs=$(mktemp -d)
trap 'rm -rf "$runs"' EXIT
began=$(date +%s)
all=720
[ -n "$rehearse" ] && all=7200 # it may share the processor with others
left() { echo $((all - $(date +%s) + began)); }
part() { # NAME SECONDS COMMAND...: within its time and what is left of all; its output is kept
    local name=$1 most=$2 rest
    shift 2
    rest=$(left)
    [ "$rest" -lt 20 ] && { echo "$name: no time left"; return 1; }
    [ -n "$rehearse" ] && most=$rest
    [ "$most" -gt "$rest" ] && most=$rest
    local start code
    start=$(date +%s)
    timeout "$most" "$@" > "$out/$name.txt" 2>&1
    code=$?
    echo "$name: exit status $code after $(($(date +%s) - start)) s, $out/$name.txt"
    return $code
}
python=${PYTHON:-python}
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} XDG_CACHE_HOME=$runs/cache
[ -n "${WHEELS:-}" ] && part install 150 "$python" -m pip install --no-index --find-links "$WHEELS" --no-deps "$WHEELS"/*.whl

small=(--training.steps 2 --training.log_every 1 --training.sample_every 2 --training.checkpoint_every 2
       --data.phantom_images 100 --training.batch_size 4)
if [ -n "$rehearse" ]; then
    part table 300 "$python" -m benchmarks --rehearse --topic segmentation --topic ensemble --topic training \
        --json "$out/table.json"
    images=(--dataset phantom --preset quick "${small[@]}") masks=(--dataset phantom --preset quick "${small[@]}")
else
    part waits 150 "$python" benchmarks/gpu_waits.py
    part table 320 "$python" -m benchmarks --device cuda --rounds 7 --topic segmentation --topic ensemble \
        --topic training --topic sampling --topic training_256 --json "$out/table.json"
    images=(--dataset phantom --preset standard --network.name edm2 --diffusion.prediction edm
            --diffusion.min_snr_gamma null --training.times log_normal --data.phantom_images 4000)
    [ -d "${HAM10000:-}" ] && images=(--dataset ham10000 --data-root "$HAM10000" "${images[@]:2:9}")
    masks=(--dataset phantom --preset standard --data.image_size 256 --data.phantom_images 1000 --training.steps 600
           --training.sample_every 600)
    images+=(--training.steps 3000 --training.sample_every 3000)
fi
part train 170 "$python" -m meddiff.pipelines.train "${images[@]}" --out "$runs/train"
cp "$runs/train/log.csv" "$out/train_log.csv" 2> /dev/null
part segment 100 "$python" -m meddiff.pipelines.segment train "${masks[@]}" --baseline.names '[]' --out "$runs/segment"
cp "$runs"/segment/models/*/log.csv "$out/segment_log.csv" 2> /dev/null
smoke=(benchmarks/gpu_smoke.py --out "$out/smoke.json")
[ -n "$rehearse" ] && smoke+=(--only train)
part smoke 300 "$python" "${smoke[@]}"  # last, with what is left
echo "took $(($(date +%s) - began)) s of $all"
"$python" benchmarks/gpu_goals.py "$out" | tee "$out/goals.txt"
