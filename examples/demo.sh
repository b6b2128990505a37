#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Pretrains a small ViT with PixMIM on real photographs, and leaves pictures in demo/.
#   bash examples/demo.sh [--data FOLDER] [--output FOLDER] [--seconds N]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../cmake/prepare.sh"

data=
output=$project/demo
seconds=170
while [ $# -gt 0 ]; do
  case $1 in
    --data | --output | --seconds)
      [ $# -ge 2 ] || fail "$1 needs a value"
      printf -v "${1#--}" '%s' "$2"
      shift 2
      ;;
    -h | --help)
      sed -n '3,4s/^# *//p' "$0"
      exit 0
      ;;
    *) fail "unknown option $1 (there are --data FOLDER, --output FOLDER, --seconds N)" ;;
  esac
done

[[ $seconds =~ ^[0-9]+$ ]] || fail "--seconds takes a whole number, got $seconds"
[ -z "$data" ] || [ -d "$data" ] || fail "--data: $data is no folder"

require_packages "${build_packages[@]}" unzip
build_targets pretrain
mkdir -p "$output"

# matplotlib draws the loss; photographs come in the wheels of scikit-image and scikit-learn.
tools=$build/_demo
if [ ! -f "$tools/complete" ]; then
  echo "installing with pip into $tools: matplotlib; and fetching some photographs"
  python3 -m venv "$tools" && "$tools/bin/pip" install -q --disable-pip-version-check matplotlib ||
    fail "pip could not install matplotlib"
  "$tools/bin/pip" download -q --disable-pip-version-check --no-deps -d "$tools/wheels" \
    scikit-image scikit-learn || fail "pip could not fetch scikit-image and scikit-learn"
  mkdir -p "$tools/photographs"
  for wheel in "$tools"/wheels/*.whl; do
    for name in astronaut.png brick.png camera.png cell.png chelsea.png coffee.png coins.png \
      grass.png gravel.png hubble_deep_field.jpg ihc.png moon.png motorcycle_left.png \
      motorcycle_right.png retina.jpg rocket.jpg china.jpg flower.jpg; do
      unzip -qoj "$wheel" "*/$name" -d "$tools/photographs" 2>/dev/null || true
    done
  done
  [ "$(ls "$tools/photographs" | wc -l)" -ge 10 ] || fail "the wheels hold no photographs any more"
  # A resize of a large photograph costs more than a step of the small model.
  "$tools/bin/python" - "$tools/photographs" <<'SHRINK'
import pathlib
import sys
from PIL import Image

for path in pathlib.Path(sys.argv[1]).iterdir():
    image = Image.open(path).convert("RGB")
    scale = 160 / min(image.size)
    image.resize([round(side * scale) for side in image.size]).save(path.with_suffix(".png"))
    if path.suffix != ".png":
        path.unlink()
SHRINK
  touch "$tools/complete"
fi
data=${data:-$tools/photographs}

"$build/examples/pretrain" --recipe pixmim_vit_tiny_demo --data "$data" --output "$output" \
  --seconds "$seconds" --overwrite
"$tools/bin/python" "$project/examples/pretrain/plot_loss.py" "$output/loss.csv" "$output/loss.png"
echo
echo "Look at:"
echo "  $output/reconstructions.png   image | what the model sees | what it paints | its target"
echo "  $output/targets.png           image | low-frequency target | what the target leaves out"
echo "  $output/loss.png              the loss over the steps"
