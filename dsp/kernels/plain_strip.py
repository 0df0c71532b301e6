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


def widen(block: Samples, passed: Samples, width: float, out: Samples) -> None:
    """Put what is left of the side in the place of the side.

    Parameters
    ----------
    block : (frames, 2) float32
    passed : (frames, 1) float32
        What a filter let through of half the difference.
    width : float
    out : (frames, 2) float32
        Written.
    """
    left, right = block[:, 0], block[:, 1]
    change = np.float32(width) * passed[:, 0] - (left - right) * np.float32(0.5)
    np.add(left, change, out=out[:, 0])
    np.subtract(right, change, out=out[:, 1])
