"""The shape of ``analysis.json``."""

import json

import jsonschema
import pytest
from pydantic import ValidationError

from dsp.analysis.document import analysis_of, made_schema, schema, text_of
from dsp.analysis.options import AnalysisOptions
from tests.support.analysed import absent, example, figure


def test_shipped_schema_is_the_one_of_the_classes():
    """Readers are told what is written."""
    assert schema() == made_schema()


def test_what_is_written_keeps_the_schema():
    """A second reader of JSON Schema agrees."""
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(json.loads(text_of(example())), schema())


def test_what_is_written_can_be_read_back():
    """A cached document is the document, to the byte."""
    text = text_of(example())

    assert text == text_of(analysis_of(text))


def test_figure_says_why_it_does_not_exist():
    """Absence has a reason, presence has none."""
    document = json.loads(text_of(example(meter=absent(why="no steady beat"))))

    assert document["meter"]["value"] is None
    assert "no steady beat" == document["meter"]["why"]
    assert {"value", "unit", "p", "source"} == set(document["tempo"]["bpm"])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_figure_is_no_number(value):
    """NaN is no JSON, and no reading."""
    with pytest.raises(ValidationError):
        example(tuning={"cents": figure(value, "cents"), "sharpness": figure(0.5)})


def test_document_of_another_shape_is_refused():
    """What a cache holds is checked before it is believed."""
    document = json.loads(text_of(example()))
    del document["loudness"]

    with pytest.raises(ValidationError):
        analysis_of(json.dumps(document))


def test_digest_differs_with_what_changes_numbers():
    """Results of other options are other results."""
    digests = {
        AnalysisOptions().digest(),
        AnalysisOptions(sections=10).digest(),
        AnalysisOptions(sections="off").digest(),
        AnalysisOptions.model_validate({"tempo": {"range": [86, 172]}}).digest(),
    }

    assert 4 == len(digests)
    assert AnalysisOptions().digest() == AnalysisOptions(sections=15).digest()


@pytest.mark.parametrize("low_high", [(90, 150), (20, 240), (100, 80), (100, 300)])
def test_tempo_range_that_leaves_a_tempo_without_a_place_is_refused(low_high):
    """Halving and doubling lead into any octave, and into nothing narrower."""
    with pytest.raises(ValidationError):
        AnalysisOptions.model_validate({"tempo": {"range": low_high}})
