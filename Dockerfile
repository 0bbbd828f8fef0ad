# docker build -t ffcv_hydra .                      converts, trains, previews; no compiler, no FFCV
# docker build -t ffcv_hydra --build-arg FFCV=1 .   with FFCV 1.0.2, which is built in a stage of its own
# docker run --rm -v "$PWD":/work ffcv_hydra ffcv-hydra-run experiment=digits
ARG FFCV=0

FROM python:3.11-slim-bookworm AS wheels
ARG FFCV
RUN if [ "$FFCV" = 1 ]; then apt-get update && apt-get install -y --no-install-recommends \
    g++ pkg-config libopencv-dev libturbojpeg0-dev && rm -rf /var/lib/apt/lists/*; fi
COPY . /source
RUN FFCV="$FFCV" /source/tools/wheels.sh

FROM python:3.11-slim-bookworm
ARG FFCV
# opencv-python, which FFCV imports, is linked to these two.
RUN if [ "$FFCV" = 1 ]; then apt-get update && apt-get install -y --no-install-recommends \
    libgl1 libglib2.0-0 && rm -rf /var/lib/apt/lists/*; fi
RUN --mount=from=wheels,source=/source/dist,target=/wheels \
    package=$(echo /wheels/ffcv_hydra-*.whl) && extra= && if [ "$FFCV" = 1 ]; then extra='[ffcv]'; fi && \
    pip install --no-cache-dir --find-links /wheels "$package$extra"
WORKDIR /work
CMD ["ffcv-hydra-run", "--help"]
