#!/bin/sh
# Builds the specimens for nine architectures: sh build.sh DIRECTORY. Needs clang and lld (Debian: apt install clang lld).
# Freestanding, static, no C library, so one compiler serves all.
set -eu
here=$(dirname "$0")
out=${1:?a directory to write into}
mkdir -p "$out"
build() {
  name=$1; target=$2; shift 2
  for source in specimen abuse; do
    clang --target="$target" "$@" -w -O1 -ffreestanding -fno-builtin -nostdlib -static -fno-stack-protector -fno-pic \
      -Wall -Wno-unused-function -fuse-ld=lld -Wl,--build-id=none -o "$out/$source-$name" "$here/$source.c"
  done
}
build i386 i386-linux-gnu
build amd64 x86_64-linux-gnu
build arm armv7-linux-gnueabi -marm -mcpu=cortex-a15
build aarch64 aarch64-linux-gnu
build mips mips-linux-gnu -mips32r2 -mno-abicalls -G0 -mno-gpopt
build mipsel mipsel-linux-gnu -mips32r2 -mno-abicalls -G0 -mno-gpopt
build mips64el mips64el-linux-gnuabi64 -mips64r2 -mno-abicalls -G0 -mno-gpopt
build powerpc powerpc-linux-gnu
build ppc64le powerpc64le-linux-gnu
