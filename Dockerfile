# meddiff in a container, without a GPU or with one:
#
#     docker build -t meddiff .
#     docker build -t meddiff:cuda --build-arg TORCH=cuda .
#     docker run --rm -v "$PWD:/work" meddiff segment predict --input photo.jpg --output masks
#     docker run --rm --gpus all -v "$PWD:/work" meddiff:cuda augment --dataset isic --data-root /work/HAM10000
#
# TORCH=cuda takes torch as the package index has it for Linux, with the libraries of CUDA in it; only the driver is the
# host's. Nothing in the image runs as root; what is written belongs to user 1000.
FROM python:3.12.11-slim-bookworm

ARG TORCH=cpu
WORKDIR /source
COPY constraints.txt pyproject.toml README.md LICENSE data_manifest.csv ./
COPY pipelines pipelines
COPY meddiff meddiff
RUN [ "$TORCH" = cuda ] || export PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu; \
    pip install --no-cache-dir -c constraints.txt . \
    && useradd --create-home --uid 1000 user

USER user
WORKDIR /work
ENTRYPOINT ["meddiff"]
CMD ["--help"]
