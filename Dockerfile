# Both programs in an image that has nothing else: no shell, no libraries, no root. Health checks ask the programs
# themselves: /cdr healthcheck, /ingest healthcheck.

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=
# Without a version it is a fingerprint of the source: what stands in records must lead to what made them.
RUN VERSION=${VERSION:-source-$(find . -name '*.go' -o -name go.mod -o -name go.sum -o -name '*.avsc' -o -name '*.gz' -o -name '*.pgo' | \
        LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c1-12)} && \
    CGO_ENABLED=0 go build -trimpath -buildvcs=false -pgo=cmd/cdr/cdr.pgo -ldflags "-s -w -buildid= -X januscdr/internal/cli.version=${VERSION}" \
        -o /out/ ./cmd/cdr ./cmd/ingest
# A volume that is mounted here first belongs to the user below.
RUN mkdir /out/data

FROM scratch
# For TLS to Kafka with certificates of public authorities.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/cdr /out/ingest /
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
ENV JANUSCDR_STATE_DIR=/data
VOLUME /data
CMD ["/cdr", "run"]
