"""Lower steady noise between and beneath words: an expander per third octave.

Theory of operation
-------------------
Windows of 21 ms, half overlapping, are transformed; the power of each band, averaged over five of
them, is compared with that of the noise. A band that holds little else is turned down, one that
holds more is passed as it is. Two of the five windows lie ahead, so a band is open before a word
begins; it closes slowly. Between the middles of bands the gain is a straight line, and a band is
wide, so no single partial of the noise is left standing (which would be heard as chirping).

References
----------
Boll, "Suppression of acoustic noise in speech using spectral subtraction", IEEE Trans. ASSP 27,
1979: the windows, the average over neighbours, the floor.
"""

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Block
from dsp.errors import ParameterError

OCTAVES_HZ = tuple(1_000.0 * 2.0**octave for octave in range(-5, 5))
"""Middles of the octaves in which noise is told: 31.25 Hz to 16 kHz."""
WINDOW_S = 0.021
NOISE_DB, SOUND_DB = 6.0, 12.0
"""Above the noise: a band up to the first is noise, from the second on it is passed."""
CLOSING_DB_PER_S = 80.0
_AHEAD = 2  # windows
_FACTOR = 32  # of a window's length: quick to transform

Array = NDArray[np.float64]


class Denoiser:
    """Turn down what is no louder than a noise that is known.

    Parameters
    ----------
    noise_db : sequence of float
        Mean square of the noise per octave of ``OCTAVES_HZ``, channels summed, in dBFS.
    reduction_db : float
        The most that a band is turned down by.
    rate_hz : int
    channels : int
        All are turned down alike.

    Raises
    ------
    ParameterError
    """

    def __init__(
        self, *, noise_db: tuple[float, ...], reduction_db: float, rate_hz: int, channels: int
    ) -> None:
        if len(noise_db) != len(OCTAVES_HZ):
            text = f"noise_db must have {len(OCTAVES_HZ)} numbers, got {len(noise_db)}"
            raise ParameterError(text)
        if not reduction_db >= 0.0:
            raise ParameterError(f"reduction_db must be at least 0, got {reduction_db}")
        self._channels, self._reduction_db = channels, reduction_db
        self._size = _FACTOR * round(WINDOW_S * rate_hz / _FACTOR)
        self._hop = self._size // 2
        self.latency = (2 + _AHEAD) * self._hop
        self.tail_s = (self.latency + self._size) / rate_hz
        # Its square and that of the next window add up to one.
        self._window = np.sin(np.pi * (np.arange(self._size) + 0.5) / self._size)
        hz = np.fft.rfftfreq(self._size, 1.0 / rate_hz)[1:]
        band = np.round(3.0 * np.log2(np.maximum(hz, 20.0) / 1_000.0))
        self._first = np.flatnonzero(np.diff(band, prepend=-np.inf))
        counts = np.diff(self._first, append=len(hz))
        middles = np.log2(np.add.reduceat(hz, self._first) / counts)
        octaves = np.log2(OCTAVES_HZ)
        per_hz_db = np.asarray(noise_db) - 10.0 * (octaves + np.log2(2.0**0.5 - 0.5**0.5)) * (
            np.log10(2.0)
        )
        noise = 10.0 ** (np.interp(middles, octaves, per_hz_db) / 10.0) * counts * hz[0]
        # Twice, for the half of the spectrum that is not looked at; the window halves the power.
        self._floor = noise * self._size * float(np.square(self._window).sum()) / 2.0
        place = np.interp(np.log2(hz), middles, np.arange(len(middles)))
        self._below = np.minimum(place.astype(np.int64), max(len(middles) - 2, 0))
        self._part = place - self._below
        self._closing_db = CLOSING_DB_PER_S * self._hop / rate_hz
        self.reset()

    def reset(self) -> None:
        """Forget everything heard so far."""
        self._heard = np.zeros((self._hop, self._channels))
        self._spectra = np.zeros((0, self._channels, self._size // 2 + 1), np.complex128)
        self._powers = np.zeros((_AHEAD, len(self._first)))
        """Of windows: those before the next that is written, and those since."""
        self._gain_db = np.zeros(len(self._first))
        self._overlap = np.zeros((1, self._channels, self._hop))
        self._ready = np.zeros((self.latency - self._hop, self._channels), np.float32)

    def process(self, block: Block) -> Block:
        """Return the next ``(frames, channels)``."""
        self._heard = np.concatenate([self._heard, block])
        self._listen()
        ready = np.concatenate([self._ready, self._written()])
        self._ready = ready[len(block) :]
        return ready[: len(block)]

    def _listen(self) -> None:
        """Transform every window that is whole by now."""
        count = max(len(self._heard) // self._hop - 1, 0)
        if not count:
            return
        starts = np.arange(count) * self._hop
        windows = self._heard[starts[:, np.newaxis] + np.arange(self._size)].transpose(0, 2, 1)
        spectra = np.fft.rfft(windows * self._window)
        self._heard = self._heard[count * self._hop :]
        power = np.square(spectra.real) + np.square(spectra.imag)
        bands = np.add.reduceat(power[:, :, 1:], self._first, axis=2)
        total = bands[:, 0] if self._channels == 1 else bands[:, 0] + bands[:, 1]
        self._spectra = np.concatenate([self._spectra, spectra])
        self._powers = np.concatenate([self._powers, total])

    def _written(self) -> Block:
        """Return the sound of all windows whose neighbours are known, half a window each."""
        if (count := len(self._powers) - 2 * _AHEAD) <= 0:
            return np.zeros((0, self._channels), np.float32)
        places = range(2 * _AHEAD + 1)
        near = np.sum([self._powers[place : place + count] for place in places], axis=0)
        gains = self._gains(near / len(places))
        sound = np.fft.irfft(self._spectra[:count] * gains[:, np.newaxis], self._size)
        sound *= self._window
        self._spectra, self._powers = self._spectra[count:], self._powers[count:]
        early, late = sound[:, :, : self._hop], sound[:, :, self._hop :]
        done = early + np.concatenate([self._overlap, late[:-1]])
        self._overlap = late[-1:]
        return np.asarray(done.transpose(0, 2, 1).reshape(-1, self._channels), np.float32)

    def _gains(self, powers: Array) -> Array:
        """Return the gain of each bin for the mean power of each band, window by window."""
        above_db = 10.0 * np.log10(np.maximum(powers, 1e-300) / self._floor)
        closed = np.clip((SOUND_DB - above_db) / (SOUND_DB - NOISE_DB), 0.0, 1.0)
        gains_db = -self._reduction_db * closed
        for row in gains_db:
            np.maximum(row, self._gain_db - self._closing_db, out=row)
            self._gain_db = row
        low, high = gains_db[:, self._below], gains_db[:, self._below + 1]
        gains = np.ones((len(powers), len(self._below) + 1))
        gains[:, 1:] = 10.0 ** ((low + self._part * (high - low)) / 20.0)
        return gains
