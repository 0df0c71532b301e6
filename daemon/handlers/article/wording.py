"""What is written in figures and signs, in the words that a reader says.

Theory of operation
-------------------
Dates, units, currencies and the shape of numbers are those of Unicode's CLDR, by ``babel``, in
whatever language it knows. Figures become words in English alone, by ``inflect``: in languages
that decline their numerals an engine, which knows the whole sentence, says them better. Both
come with the extra ``podcast``; without it, and in a language that is not known, the text stays
as it is written, and the engine makes of it what it can.

Rules
-----
1. What is not surely a number in this language stays as it is: versions, addresses, names.
2. A number of four figures without separators is said like a year, as readers say it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import date
from decimal import Decimal
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babel import Locale

_UNITS = {
    "%": "concentr-percent", "‰": "concentr-permille", "°": "angle-degree",
    "°C": "temperature-celsius", "°F": "temperature-fahrenheit",
    "nm": "length-nanometer", "µm": "length-micrometer", "mm": "length-millimeter",
    "cm": "length-centimeter", "m": "length-meter", "km": "length-kilometer",
    "ft": "length-foot", "mi": "length-mile", "m²": "area-square-meter",
    "km²": "area-square-kilometer", "ha": "area-hectare", "m³": "volume-cubic-meter",
    "ml": "volume-milliliter", "cl": "volume-centiliter", "l": "volume-liter",
    "mg": "mass-milligram", "g": "mass-gram", "kg": "mass-kilogram", "lb": "mass-pound",
    "lbs": "mass-pound", "oz": "mass-ounce", "ms": "duration-millisecond", "s": "duration-second",
    "min": "duration-minute", "h": "duration-hour", "Hz": "frequency-hertz",
    "kHz": "frequency-kilohertz", "MHz": "frequency-megahertz", "GHz": "frequency-gigahertz",
    "kB": "digital-kilobyte", "KB": "digital-kilobyte", "MB": "digital-megabyte",
    "GB": "digital-gigabyte", "TB": "digital-terabyte", "mW": "power-milliwatt", "W": "power-watt",
    "kW": "power-kilowatt", "MW": "power-megawatt", "GW": "power-gigawatt",
    "kWh": "energy-kilowatt-hour", "kJ": "energy-kilojoule", "V": "electric-volt",
    "mA": "electric-milliampere", "Ω": "electric-ohm",
    "hPa": "pressure-hectopascal", "mph": "speed-mile-per-hour",
    "km/h": "speed-kilometer-per-hour", "m/s": "speed-meter-per-second",
}  # fmt: skip
_CURRENCIES = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}
_ABBREVIATIONS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "e.g.": "for example", "i.e.": "that is", "etc.": "et cetera", "vs.": "versus",
        "cf.": "compare", "approx.": "approximately", "Dr.": "Doctor", "Prof.": "Professor",
        "Mr.": "Mister", "Mrs.": "Missus", "Fig.": "Figure", "Figs.": "Figures", "Vol.": "Volume",
        "Inc.": "Incorporated", "Ltd.": "Limited", "w/o": "without", "&": "and", "dB": "decibels",
    },
    "de": {
        "z. B.": "zum Beispiel", "z.B.": "zum Beispiel", "d. h.": "das heißt", "d.h.": "das heißt",
        "u. a.": "unter anderem", "u.a.": "unter anderem", "usw.": "und so weiter",
        "bzw.": "beziehungsweise", "ca.": "circa", "ggf.": "gegebenenfalls", "Nr.": "Nummer",
        "Dr.": "Doktor", "Prof.": "Professor", "Abb.": "Abbildung", "&": "und",
        "dB": "Dezibel",
    },
}  # fmt: skip
_BETWEEN = {"en": "to", "de": "bis", "fr": "à", "es": "a", "it": "a", "nl": "tot", "pt": "a"}
_NUMBER = r"\d+(?:[.,’\u00a0\u202f]\d+)*"
_ALONE = r"(?<![\w.,/:])"
"""Before a number: no part of a word, of a version, of a time or of an address."""
_SPACE = r"[ \u00a0\u202f]"
_FIGURES = 15
"""What is longer is no quantity."""
_YEAR = re.compile(r"(?:1[1-9]|20)\d\d")
_SCALE = 2
"""A count of what is said in the plural."""

Step = tuple[re.Pattern[str], Callable[[re.Match[str]], str | None]]


def reader_of(language: str) -> Callable[[str], str]:
    """Return what turns a text in a language (``en``, ``de-AT``) into what is said."""
    if not language or find_spec("babel") is None:
        return str
    from babel import Locale, UnknownLocaleError  # noqa: PLC0415 - an extra

    try:
        return _Reader(Locale.parse(language.replace("_", "-"), sep="-")).said
    except (ValueError, UnknownLocaleError):
        return str


class _Reader:
    """Says numbers, dates and signs in one language."""

    def __init__(self, locale: "Locale") -> None:
        self._locale = locale
        self._abbreviations = _ABBREVIATIONS.get(locale.language, {})
        self._steps = list(self._of_any_language())
        if locale.language == "en" and find_spec("inflect") is not None:
            from inflect import engine  # noqa: PLC0415 - an extra

            self._words = engine()
            self._steps += self._of_english()

    def said(self, text: str) -> str:
        """Return a text as it is said."""
        for pattern, step in self._steps:
            text = pattern.sub(partial(_or_as_written, step), text)
        return text

    def _of_any_language(self) -> Iterator[Step]:
        if self._abbreviations:
            short = "|".join(map(re.escape, self._abbreviations))
            yield re.compile(rf"(?<![\w.])(?:{short})(?!\w)"), self._abbreviation
        yield re.compile(r"(?<![\w-])(\d{4})-(\d\d)-(\d\d)(?![\w-])"), self._date
        if (word := _BETWEEN.get(self._locale.language)) is not None:
            yield re.compile(r"(?<=\d)\s?–\s?(?=\d)"), lambda _: f" {word} "
        signs = "".join(map(re.escape, _CURRENCIES))
        scale = r"(?: (million|billion|trillion)\b)?"
        yield re.compile(rf"([{signs}])\s?({_NUMBER})(?!\w){scale}"), self._money
        behind = rf"{_ALONE}({_NUMBER}){_SPACE}?([{signs}])(?!\w)"
        yield re.compile(behind), lambda found: self._amount(found[1], found[2])
        letters = "|".join(one for one in _UNITS if len(one) == 1 and one.isalpha())
        others = "|".join(re.escape(one) for one in _UNITS if one not in letters.split("|"))
        unit = rf"(?:{_SPACE}({letters})|{_SPACE}?({others}))(?![\w/²³])"
        yield re.compile(rf"{_ALONE}([-−]?{_NUMBER}){unit}"), self._quantity

    def _of_english(self) -> Iterator[Step]:
        months = "|".join(self._locale.months["format"]["wide"].values())
        yield (
            re.compile(rf"\b({months}) (\d{{1,2}})(?![\w.,]\w)"),
            lambda found: f"{found[1]} {self._ordinal(found[2])}",
        )
        yield (
            re.compile(rf"(?<![\w.,])(\d{{1,2}}) ({months})\b"),
            lambda found: f"the {self._ordinal(found[1])} of {found[2]}",
        )
        yield (
            re.compile(r"(?<![\w.,])(\d+)(?:st|nd|rd|th)\b"),
            lambda found: self._ordinal(found[1]),
        )
        yield re.compile(r"(?<![\w.,])(1[1-9]\d0|20\d0)s\b"), self._decade
        yield re.compile(r"(?<![\w:.])([01]?\d|2[0-3]):([0-5]\d)(?![\w:])"), self._time
        yield re.compile(rf"{_ALONE}[-−]?{_NUMBER}(?![\w/:]|[.,]\d)"), self._number

    def _abbreviation(self, found: re.Match[str]) -> str:
        ends = found.group().endswith(".") and found.end() == len(found.string)
        return self._abbreviations[found.group()] + ("." if ends else "")

    def _date(self, found: re.Match[str]) -> str | None:
        from babel.dates import format_date  # noqa: PLC0415 - an extra

        with suppress(ValueError):
            day = date.fromisoformat(found.group())
            words: str = format_date(day, "long", locale=self._locale)
            return words
        return None

    def _money(self, found: re.Match[str]) -> str | None:
        return self._amount(found[2], found[1], found[3] or "")

    def _amount(self, number: str, sign: str, scale: str = "") -> str | None:
        from babel.numbers import get_currency_name  # noqa: PLC0415 - an extra

        if (value := self._value(number)) is None:
            return None
        count = _SCALE if scale else value
        name = get_currency_name(_CURRENCIES[sign], count=count, locale=self._locale)
        return f"{number} {scale} {name}" if scale else f"{number} {name}"

    def _quantity(self, found: re.Match[str]) -> str | None:
        from babel.units import format_unit  # noqa: PLC0415 - an extra

        if (value := self._value(found[1])) is None:
            return None
        unit = _UNITS[found[2] or found[3]]
        shape = "#,##0.##########"
        words: str = format_unit(value, unit, "long", format=shape, locale=self._locale)
        return words

    def _value(self, number: str) -> Decimal | None:
        from babel.numbers import NumberFormatError, parse_decimal  # noqa: PLC0415 - an extra

        with suppress(NumberFormatError):
            value: Decimal = parse_decimal(
                number.replace("−", "-"), locale=self._locale, strict=True
            )
            return value
        return None

    def _ordinal(self, number: str) -> str:
        return self._spelt(self._words.ordinal(number))

    def _spelt(self, number: str) -> str:
        return str(self._words.number_to_words(number, andword="")).replace(",", "")

    def _decade(self, found: re.Match[str]) -> str:
        year = self._year(int(found[1]))
        return f"{year[:-1]}ies" if year.endswith("y") else f"{year}s"

    def _year(self, year: int) -> str:
        first, last = divmod(year, 100)
        if not year % 1000 or (first == 20 and last < 10):  # noqa: PLR2004 - two thousand five
            return self._spelt(str(year))
        ends = self._spelt(f"{last:02}") if last else "hundred"
        return f"{self._spelt(str(first))} {'oh ' if 0 < last < 10 else ''}{ends}"  # noqa: PLR2004

    def _time(self, found: re.Match[str]) -> str:
        hour, minute = found[1].lstrip("0") or "0", found[2]
        if minute == "00":
            return f"{hour} o'clock"
        return f"{hour} {'oh ' if minute.startswith('0') else ''}{int(minute)}"

    def _number(self, found: re.Match[str]) -> str | None:
        text = found.group()
        if _YEAR.fullmatch(text):
            return self._year(int(text))
        code = len(text) > 1 and text.startswith("0") and text.isdigit()
        value = None if code or len(text) > _FIGURES else self._value(text)
        return None if value is None else self._spelt(f"{value:f}")


def _or_as_written(step: Callable[[re.Match[str]], str | None], found: re.Match[str]) -> str:
    said = step(found)
    return found.group() if said is None else said
