"""From float to integers, with dither that is the same every time.

Theory of operation
-------------------
Rounding alone makes distortion that follows the music. Noise of triangular density, 2 LSB
peak to peak, added before rounding makes mean and variance of the error independent of the
signal: total error power 3/12 LSB², 4.77 dB above rounding alone, and white.

The noise comes from Philox, a generator that is *addressed* rather than run: the value for
a frame and a channel is a function of their number and the seed. So blocks do not show,
the same mix gives the same bytes, and channels differ.

Rules
-----
Rule 1: 16 and 24 bits are both dithered: at −139 dB it costs nothing, and no one needs to
know from which depth on it may be left out.

Rule 2: a sample of exactly 0.0 stays 0. Digital silence stays digital silence, whatever the
block size; a zero that music passes through has no rounding error to hide.

Rule 3: what does not fit is clipped to the range, and only there.

References
----------
Lipshitz, Wannamaker, Vanderkooy, "Quantization and Dither: A Theoretical Survey", JAES
40(5), 1992. Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011 (Philox).
"""

import numpy as np
from numpy.typing import NDArray

from dsp import kernels
from dsp.audio import Block

_WORDS = 4
"""Numbers of 64 bits that Philox makes per count."""


def quantise(block: Block, bits: int, first_frame: int, seed: int = 0) -> NDArray[np.int32]:
    """Return the block as integers of this many bits, dithered.

    Parameters
    ----------
    block : (frames, channels) float32
        Full scale ±1.0.
    bits : int
        16 or 24: 1.0 is 2**(bits − 1), and one less is the highest that fits.
    first_frame : int
        The number of the block's first frame in its stream.
    seed : int
        Another seed is other noise.
    """
    samples = np.ascontiguousarray(block)
    out = np.empty(samples.shape, np.int32)
    words = _words(samples.shape, first_frame, seed)
    kernels.quantise(samples, words, float(1 << (bits - 1)), out)
    return out


def _words(shape: tuple[int, ...], first_frame: int, seed: int) -> NDArray[np.uint64]:
    """Return the numbers that the noise of these frames and channels is made of."""
    frames, channels = shape
    count, skip = divmod(first_frame * channels, _WORDS)
    source = np.random.Philox(key=seed, counter=count)
    return source.random_raw(skip + frames * channels)[skip:].reshape(shape)
