# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later

# The fixed iproute2 of a release, built and proven with nothing but Docker:
#
#   docker build --build-arg RELEASE=bookworm --tag iproute2-fixed:bookworm .
#
# The image contains only the .debs, their tc and ip as files that run anywhere (/tc), the patch and
# the report; docs/docker.md says how to copy
# them out, and what each argument does. This file works with BuildKit and the classic builder.
#
# The layer TOOLS depends only on the lists of packages, and the layer BUILD-DEPENDS only on the base
# image and the list of build dependencies. So neither a new version of the distro nor a new
# commit of ours installs anything again.

ARG RELEASE=bookworm
ARG DISTRO=debian
ARG BASE=docker.io/library/${DISTRO}:${RELEASE}
ARG TOOLS_BASE=docker.io/library/debian:bookworm
# Only BuildKit sets BUILDPLATFORM. For any other builder, "linux" is the machine that it runs on.


# -- the programs that the pipeline needs, from Debian's signed archive ----------------
FROM --platform=${BUILDPLATFORM:-linux} ${TOOLS_BASE} AS tools
ARG TOOLS_MIRROR=
COPY tools/docker/mirror.sh tools/docker/tools.sh tools/install-packages /respin/tools/
COPY packages.txt /respin/
RUN sh /respin/tools/mirror.sh "$TOOLS_MIRROR" && sh /respin/tools/tools.sh /respin
# "container" tells programs that they run in one (systemd's CONTAINER_INTERFACE).
ENV container=docker PYTHONPATH=/respin PYTHONDONTWRITEBYTECODE=1 RESPIN_CACHE=/cache


# -- the pipeline: fetch, diagnose, patch ----------------------------------------------
FROM tools AS patch
COPY patches /respin/patches
COPY templates /respin/templates
COPY tools/docker /respin/tools/docker
COPY pipeline /respin/pipeline
ARG RELEASE
ARG VERSION=
ARG MIRROR=
ARG NUMBER=1
ARG ARCHITECTURE=
# BuildKit sets these from --platform.
ARG TARGETARCH
ARG TARGETVARIANT
RUN foreign=$(sh /respin/tools/docker/architecture.sh "$ARCHITECTURE" "$TARGETARCH" "$TARGETVARIANT") \
 && python3 -m pipeline patch --release "$RELEASE" ${VERSION:+--version "$VERSION"} \
      ${MIRROR:+--mirror "$MIRROR"} --number "$NUMBER" --verbose --out /run-folder \
 && sh /respin/tools/docker/handover.sh /run-folder /handover "$foreign"


# -- the release's own image with the build dependencies -------------------------------
FROM --platform=${BUILDPLATFORM:-linux} ${BASE} AS build-depends
ARG MIRROR=
COPY tools/docker/mirror.sh tools/docker/prepare.sh /respin/
COPY --from=patch /handover/build-depends /respin/build-depends
RUN sh /respin/mirror.sh "$MIRROR" && sh /respin/prepare.sh /respin/build-depends


# -- the build, with none of our tools but a few lines of shell ------------------------
FROM build-depends AS build
COPY tools/docker/build.sh /respin/
COPY --from=patch /handover/patched /patched
USER 65533:65533
RUN sh /respin/build.sh /patched /build "$(cat /respin/build-depends/foreign)"


# -- the proof: the distro's package and ours, in a guest, on the release's kernel ------
FROM patch AS prove
RUN foreign=$(cat /handover/build-depends/foreign) \
 && { [ -z "$foreign" ] || sh /respin/tools/docker/foreign.sh /respin "$foreign"; }
COPY --from=build /build/out /built
RUN foreign=$(cat /handover/build-depends/foreign) \
 && python3 -m pipeline prove /run-folder --debs /built ${MIRROR:+--mirror "$MIRROR"} \
      ${foreign:+--architecture "$foreign"} \
      --verbose --out /proven \
 && sh /respin/tools/docker/collect.sh /proven /fixed
RUN python3 -m pipeline tc /proven ${MIRROR:+--mirror "$MIRROR"} --verbose --out /fixed/tc


# -- docker build --target proof: the .deb on the release's own image -------------------
FROM ${BASE} AS proof
ARG MIRROR=
COPY tools/docker/mirror.sh tools/docker/install.sh /respin/
COPY --from=prove /fixed/debs /debs
RUN sh /respin/mirror.sh "$MIRROR" && sh /respin/install.sh /debs


# -- the result: the .debs, /tc, the patch, the report -----------------------------------
FROM scratch
COPY --from=prove /fixed /
