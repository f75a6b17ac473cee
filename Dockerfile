# Backstop's image: Python, the package and its pinned requirements; no shell, compiler or package
# manager. `make image` builds it; docs/image.md says what is inside and how to verify it.

# Both have Debian 12's Python 3.11 at /usr/bin/python3.11. Pin them by digest for a release:
#   --build-arg BASE=gcr.io/distroless/python3-debian12@sha256:...
ARG BUILD_BASE=docker.io/library/debian:12-slim
ARG BASE=gcr.io/distroless/python3-debian12:nonroot

FROM ${BUILD_BASE} AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 python3-pip \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY constraints-runtime.txt operator/backstop_lab/image/install.py ./
# First what changes seldom: a layer of its own, shared by the images of all versions with its pins.
RUN python3 install.py requirements --root /requirements \
      --requirements constraints-runtime.txt --python /usr/bin/python3.11
COPY dist/*.whl dist/
RUN python3 install.py package --root /package --wheels dist

FROM ${BASE}
ARG VERSION=0.0.0
LABEL org.opencontainers.image.title="backstop" \
      org.opencontainers.image.description="Keeps a failing machine-learning model from hurting its users" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /requirements/ /
COPY --from=build /package/ /
ENV PATH=/opt/backstop/bin:/usr/bin LANG=C.UTF-8
USER 65532:65532
ENTRYPOINT ["backstop"]
