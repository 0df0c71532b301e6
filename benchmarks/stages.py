"""Does it sound like a mix? Each stage against its own measure, on songs of your own.

    python benchmarks/stages.py FOLDER…             every stage, every song
    python benchmarks/stages.py FOLDER --only ride,masking
    python benchmarks/stages.py FOLDER --presets    what each preset reaches

Three tables per song. *The mix*: a plain sum (no stage, same loudness) beside the full mix
and beside the mix without each stage. *Roles*: where each stem arrived, against what its
role asks for. *Stages*: the measure that a stage is there for, with it and without it; a
stage that makes its own measure worse is marked, and the exit status is 1.

Everything is measured on sound: each strip is rendered once more on its own and heard by
the meters of the standard, not by those that the engine steers by.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from own import OWN
from takes import Take, heard_as, song_in

from dsp.mixing.masking import HIGHEST_HZ, LOWEST_HZ
from dsp.mixing.plan import PRESETS
from dsp.mixing.recall_sheet import Settings, Stages
from dsp.mixing.tone import CENTRES
from dsp.units import power_db_of, power_dbs_of

SIGNIFICANT = 0.05
"""Of a measure's unit: less is no difference."""


def _lead_to_rest_lu(take: Take) -> float | None:
    where = take.decided.lead_active
    lead, rest = (
        sum(take.sounds[n].power_where(where) for n in names)
        for names in (take.leads(), take.rest())
    )
    return power_db_of(lead / rest) if lead and rest else None


def overview(with_: Take, take: Take) -> dict[str, float | None]:
    """Return the properties that a mix can be tested for."""
    heard = take.mastered.heard
    strips = [
        reduction
        for meters in take.rendered.tracks.values()
        for name, reduction in meters.reductions.items()
        if name == "compressor"
    ]
    glue, limiter = take.rendered.reductions.get("glue"), take.mastered.reduction
    return {
        "LUFS": heard.integrated_lufs,
        "dBTP": heard.true_peak_dbtp,
        "lead/rest LU": _lead_to_rest_lu(take),
        "masked dB": OWN["masking"][2](with_, take),
        "role err LU": OWN["balance"][2](with_, take),
        "octave dB": OWN["master_eq"][2](with_, take),
        "crest dB": heard.crest_factor_db,
        "range LU": heard.range_lu,
        "corr": heard.correlation,
        "fold dB": heard.fold_down_loss_db,
        "comp mean": max((r.mean_db for r in strips), default=0.0),
        "comp max": max((r.max_db for r in strips), default=0.0),
        "glue mean": glue.mean_db if glue else 0.0,
        "glue max": glue.max_db if glue else 0.0,
        "lim mean": limiter.mean_db,
        "lim max": limiter.max_db,
    }


def show(folder: Path, only: Sequence[str]) -> int:
    """Print the tables of one song; return how many stages made their own measure worse."""
    song = song_in(folder)
    print(f"\n# {folder.name}: {len(song.analyses)} stems")
    with tempfile.TemporaryDirectory(prefix="soundspool-stages-") as name:
        work = Path(name)
        full = heard_as(song, Settings(), work)
        rows = {"full mix": overview(full, full)}
        own = {stage: (OWN[stage][2](full, full), None) for stage in only}
        nothing = Settings(stages=Stages(**dict.fromkeys(Stages.model_fields, False)))
        rows = {"plain sum": overview(full, heard_as(song, nothing, work)), **rows}
        for stage in only:  # each overwrites the work file of the one before
            take = heard_as(song, Settings(stages=Stages(**{stage: False})), work)
            rows[f"- {stage}"] = overview(full, take)
            own[stage] = (own[stage][0], OWN[stage][2](full, take))
    _print_table(rows)
    _print_roles(full)
    return _print_stages(own)


def _print_table(rows: Mapping[str, Mapping[str, float | None]]) -> None:
    columns = list(next(iter(rows.values())))
    print(f"{'the mix':16}" + "".join(f"{column.replace(' ', '_'):>13}" for column in columns))
    for name, row in rows.items():
        print(f"{name:16}" + "".join(f"{_text(row[column]):>13}" for column in columns))


def _print_roles(take: Take) -> None:
    print("\nroles: off the distance asked for, LU")
    errors = take.role_errors_lu()
    print("  " + ", ".join(f"{name} {error:+.1f}" for name, error in errors.items()))
    lead, rest = power_dbs_of(take.bands(take.leads())), power_dbs_of(take.bands(take.rest()))
    bands = [
        f"{hz:.0f}: {up:+.0f}"
        for hz, up in zip(CENTRES, lead - rest, strict=True)
        if LOWEST_HZ <= hz <= HIGHEST_HZ
    ]
    print("lead to rest while the lead sounds, dB by Hz\n  " + ", ".join(bands))


def _print_stages(own: Mapping[str, tuple[float | None, float | None]]) -> int:
    print(f"\n{'stage':15}{'with':>9}{'without':>9}  its own measure")
    worse = 0
    for stage, (on, off) in own.items():
        label, sign, _ = OWN[stage]
        if on is None or off is None:
            print(f"{stage:15}{'-':>9}{'-':>9}  {label}: nothing to do")
            continue
        bad = sign * (on - off) < -SIGNIFICANT
        worse += bad
        more = "more is better" if sign > 0 else "less is better"
        print(f"{stage:15}{on:9.2f}{off:9.2f}  {label} ({more}){'  WORSE' if bad else ''}")
    return worse


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def show_presets(folder: Path) -> None:
    """Print what each preset reaches."""
    song = song_in(folder)
    print(f"\n# {folder.name}: presets")
    with tempfile.TemporaryDirectory(prefix="soundspool-stages-") as name:
        for preset in PRESETS:
            take = heard_as(song, Settings(preset=preset), Path(name))
            heard, limiter = take.mastered.heard, take.mastered.reduction
            print(
                f"{preset:12}{heard.integrated_lufs:8.2f} LUFS{heard.true_peak_dbtp:7.2f} dBTP  "
                f"crest {heard.crest_factor_db:.1f}  range {heard.range_lu:.1f}  limiter "
                f"{limiter.mean_db:.2f}/{limiter.max_db:.1f} dB  {take.mastered.passes} passes  "
                f"{take.mastered.why_missed}"
            )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Each stage against its own measure")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--only", default=",".join(OWN), help="stages, with commas between")
    parser.add_argument("--presets", action="store_true", help="what each preset reaches")
    args = parser.parse_args()
    if args.presets:
        for folder in args.folders:
            show_presets(folder)
        return
    only = [stage for stage in args.only.split(",") if stage]
    sys.exit(1 if sum([show(folder, only) for folder in args.folders]) else 0)


if __name__ == "__main__":
    main()
