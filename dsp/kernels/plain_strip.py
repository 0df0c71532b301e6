"""What a channel strip does to every frame by itself, the plain version."""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


def saturate(block: Samples, held: Samples, drive: float, half_mix: float, out: Samples) -> None:
    """Clip softly what lies between two frames; see ``dsp.processors.saturation``.

    Parameters
    ----------
    block : (frames, channels) float32
    held : (channels, 2) float32
        The two frames before the block; changed.
    drive : float
        What the square of a frame is multiplied by.
    half_mix : float
        What a frame gets of the corrections before and after it.
    out : (frames, channels) float32
        Written, one frame late.
    """
    sound = np.concatenate([held, block.T], axis=1)
    held[:] = sound[:, -2:]
    root = np.square(sound)
    root *= np.float32(drive)
    root += np.float32(1.0)
    np.sqrt(root, out=root)
    correction = np.float32(1.0) / (root[:, :-1] + root[:, 1:])
    correction -= np.float32(0.5)
    correction *= sound[:, :-1] + sound[:, 1:]
    done = correction[:, :-1] + correction[:, 1:]
    done *= np.float32(half_mix)
    done += sound[:, 1:-1]
    out[:] = done.T


def widen(middle: Samples, side: Samples, width: float, out: Samples) -> None:
    """Make left and right of middle and side.

    Parameters
    ----------
    middle, side : (frames, 1) float32
    width : float
        What the side is multiplied by.
    out : (frames, 2) float32
        Written.
    """
    wide = np.float32(width) * side
    np.add(middle, wide, out=out[:, :1])
    np.subtract(middle, wide, out=out[:, 1:])
