# For those who have a container engine: the same files as the image of `make image`, which needs none.
#
#   docker build --build-arg VERSION=v0.1.0 --build-arg REVISION=$(git rev-parse HEAD) -t hawser:v0.1.0 .
#
# The programs are the same to the byte where GO is the version that `make image` ran with. Nothing of the base image
# gets into the result; who wants to pin it harder than by version gives its digest: --build-arg GO=1.26.8@sha256:...
ARG GO=1.26.8-bookworm

FROM --platform=$BUILDPLATFORM golang:${GO} AS build
WORKDIR /src
COPY go.mod go.sum ./
COPY hack/image/go.mod hack/image/go.sum hack/image/
RUN go mod download && go -C hack/image mod download
COPY . .
ARG TARGETARCH
ARG VERSION=devel
RUN umask 022 && GOTOOLCHAIN=local go run -C hack/image . --root /src --arch "$TARGETARCH" --version "$VERSION" --rootfs /rootfs

FROM scratch
COPY --from=build /rootfs /
USER 65532:65532
WORKDIR /
ENV PATH=/usr/local/bin
ENTRYPOINT ["/usr/local/bin/hawser"]
ARG VERSION=devel
ARG REVISION=""
LABEL org.opencontainers.image.title="Hawser" \
      org.opencontainers.image.description="Ties Kubernetes clusters together: connections whose credentials renew themselves" \
      org.opencontainers.image.source="https://github.com/hawser-io/hawser" \
      org.opencontainers.image.documentation="https://github.com/hawser-io/hawser/tree/main/docs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="Hawser" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
