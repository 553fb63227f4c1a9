# meddiff in a container, with a GPU or without one:
#
#     docker build -t meddiff .
#     docker build -t meddiff:cpu --build-arg TORCH_INDEX=URL .
#     docker run --rm -v "$PWD:/data" -w /data meddiff:cpu segment predict --input photo.jpg --output masks
#     docker run --rm --gpus all -v "$PWD:/data" -w /data meddiff augment --dataset isic --data-root HAM10000
#
# Without TORCH_INDEX torch comes as the package index has it for Linux, with the libraries of CUDA in it; only the driver
# is the host's. TORCH_INDEX names an index with builds for CPUs (PyTorch's own: see "Get started" on its site), some
# gigabytes smaller. Nothing in the image runs as root; what is written belongs to user 1000.
FROM python:3.11.13-slim-bookworm

ARG TORCH_INDEX=
WORKDIR /source
COPY constraints.txt pyproject.toml README.md LICENSE data_manifest.csv ./
COPY pipelines pipelines
COPY meddiff meddiff
RUN pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -c constraints.txt . \
    && useradd --create-home --uid 1000 user

USER user
WORKDIR /home/user
ENTRYPOINT ["meddiff"]
CMD ["--help"]
