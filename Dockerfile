# runnel as a container. `./dev image` builds it with whatever engine is there; by hand:
#
#     docker build -t runnel .
#     docker run --rm -p 127.0.0.1:8080:8080 runnel
#
# It runs as nobody in particular, on a root that may be read-only, and needs no shell.
ARG BASE=debian:trixie-slim

FROM ${BASE} AS build
WORKDIR /src
COPY deps/install.sh deps/packages deps/
RUN deps/install.sh build unit
COPY CMakeLists.txt CMakePresets.json ./
COPY sql sql
COPY src src
COPY test test
# The tests are the unit tests only, see .dockerignore: the others have proved the same code
# before. Those that measure time may have to try again on a busy machine.
RUN cmake --preset release -D RUNNEL_TESTS=ON && cmake --build build/release \
    && ctest --test-dir build/release --output-on-failure --no-tests=error --repeat until-pass:3 \
    && strip build/release/runnel

FROM ${BASE}
# What `ldd` names, by package: Debian mends them without our help when the image is built anew.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates libllhttp9.2 libmbedtls21 libpq5 libuv1t64 libwslay1 libyaml-0-2 libyyjson0 \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/cache/ldconfig/* \
        /var/log/apt /var/log/*.log /tmp/* \
    && groupadd --system --gid 65532 runnel \
    && useradd --system --uid 65532 --gid runnel --home-dir /nonexistent --no-create-home \
        --shell /usr/sbin/nologin runnel \
    && rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow-
COPY docker/echo.yaml /etc/runnel/runnel.yaml
COPY --from=build /src/build/release/runnel /usr/bin/runnel
USER 65532:65532
# All addresses of the container; who may come in is for the network around it to say.
ENV RUNNEL_LISTEN=0.0.0.0:8080
# Library files that are missing, or settings that are wrong, end the build.
RUN ["/usr/bin/runnel", "check", "/etc/runnel/runnel.yaml"]
EXPOSE 8080
# SIGTERM drains: give it longer than drain_seconds (25s) before the kill.
STOPSIGNAL SIGTERM
# Alive, not ready: an engine may kill what is not healthy, and a database that is away for a
# minute is no reason to cut the answers that are running.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["/usr/bin/runnel", "health", "/livez"]
ENTRYPOINT ["/usr/bin/runnel"]
CMD ["serve", "--config", "/etc/runnel/runnel.yaml"]

ARG VERSION=unversioned
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="runnel" \
    org.opencontainers.image.description="Answers chat questions with language models, as streams" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.created="${CREATED}" \
    org.opencontainers.image.base.name="debian:trixie-slim"
