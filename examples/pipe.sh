#!/bin/sh
# pipe.sh MODEL MELS.npy [PLAYER...] - mels through a pipe into a stream, its audio into a player as it comes.
#
#     ./pipe.sh voice.bin clip.npy                       # plays with ALSA's aplay at 16 kHz
#     ./pipe.sh voice.bin clip.npy ffplay -nodisp -autoexit -f s16le -ar 16000 -
#     STREAM=./stream ./pipe.sh voice.bin clip.npy cat >audio.s16    # the C program in place of stream.py
set -eu
if [ $# -lt 2 ]; then
    echo "usage: pipe.sh MODEL MELS.npy [PLAYER...]" >&2
    exit 2
fi
model=$1 mels=$2
shift 2
[ $# -gt 0 ] || set -- aplay -q -f S16_LE -r 16000
python=${PYTHON:-python3}
here=$(dirname "$0")

"$python" -c '
import sys
import numpy as np
sys.stdout.buffer.write(np.load(sys.argv[1]).T.astype("<f4").tobytes())  # frame after frame
' "$mels" | ${STREAM:-"$python" "$here/stream.py"} "$model" | "$@"
