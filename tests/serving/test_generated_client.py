"""A client that a public generator makes of the description of a server, unmodified, against that server."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.serving.served import TASKS, make_model, serving

from motet.tasks.classification import Classification
from motet.tasks.multilabel import MultiLabel

TOKEN = "secret"
HOW = "openapi-python-client is not on this machine; benchmarks/peers/openapi_client.sh runs this with it"
ALIKE = {
    "Mood": Classification("Mood", source="s", classes=("a b", "a-b", "A_B", "日本", "1", "-1", "None")),
    "from": MultiLabel("from", source="s", classes=("!", "?", "self", "class")),
}
# Everything that it reads is an attribute of a class or an item with a type: mypy looks at that as well.
DRIVER = """
import sys

from motet_client import AuthenticatedClient, Client
from motet_client.api.default import (
    health, info, metrics, predict, predict_from, predict_mood, predict_mood_2, predict_order, predict_places,
    predict_size, predict_stars, predict_topics, predict_where, predict_within, ready,
)
from motet_client.models import (
    Error, ErrorErrorType, FromAnswerLabelsItem, HealthResponse200, Info, Mood2AnswerLabel, MoodAnswerLabel,
    OrderAnswerRanked, OrderAnswerScore, OtherTextRow, PlacesAnswerTagsItem, PredictMood2Texts, PredictMoodTexts,
    PredictFromTexts, PredictObjects, PredictOrderPairs, PredictOrderQueries, PredictPlacesObjects, PlacesInput,
    PredictSizeTexts, PredictStarsTexts, PredictTexts, PredictTextsTasksItem, PredictTopicsTexts, PredictWherePairs,
    PredictWithinPairs, Query, ReadyResponse200, StarsAnswerLabel, TopicsAnswerLabelsItem, WithinAnswerLabel,
)
from motet_client.types import Unset

open_client = Client(base_url=sys.argv[1])
client = AuthenticatedClient(base_url=sys.argv[1], token="secret")

alive = health.sync(client=open_client)
assert isinstance(alive, HealthResponse200) and alive.status == "ok"
awake = ready.sync(client=open_client)
assert isinstance(awake, ReadyResponse200) and awake.status == "ready"
facts = info.sync(client=client)
assert isinstance(facts, Info) and facts.limits.max_inputs == 256
assert facts.tasks["mood"].labels == ["bad", "good"] and facts.tasks["order"].ranks
told = metrics.sync(client=client)
assert isinstance(told, str) and "motet_ready 1.0" in told

several = predict.sync(client=client, body=PredictTexts(inputs=["a good film", "rain"]))
assert not isinstance(several, Error) and several is not None
assert several.truncated == 0 and len(several.answers) == 2
one = several.answers[0]
assert not isinstance(one.mood, Unset) and isinstance(one.mood.label, MoodAnswerLabel)
assert abs(one.mood.scores["good"] + one.mood.scores["bad"] - 1) < 1e-3
assert isinstance(one.within, Unset)
chosen = PredictTexts(inputs="rain", tasks=[PredictTextsTasksItem.SIZE, PredictTextsTasksItem.MOOD2])
named = predict.sync(client=client, body=chosen)
assert named is not None and not isinstance(named, Error) and not isinstance(named.answers[0].size, Unset)
rows = PredictObjects(inputs=[OtherTextRow(text="a film", other="film")])
wide = predict.sync(client=client, body=rows)
assert wide is not None and not isinstance(wide, Error) and not isinstance(wide.answers[0].within, Unset)

mood = predict_mood.sync(client=client, body=PredictMoodTexts(inputs="a good film", truncate=False))
assert mood is not None and not isinstance(mood, Error) and mood.answers[0].label in MoodAnswerLabel
alike = predict_mood_2.sync(client=client, body=PredictMood2Texts(inputs="a good film"))
assert alike is not None and not isinstance(alike, Error) and isinstance(alike.answers[0].label, Mood2AnswerLabel)
assert {label.value for label in Mood2AnswerLabel} == set(alike.answers[0].scores.additional_properties)
assert {label.value for label in Mood2AnswerLabel} == set(facts.tasks["Mood"].labels)
topics = predict_topics.sync(client=client, body=PredictTopicsTexts(inputs="rain"))
assert topics is not None and not isinstance(topics, Error)
assert all(isinstance(label, TopicsAnswerLabelsItem) for label in topics.answers[0].labels)
of = predict_from.sync(client=client, body=PredictFromTexts(inputs="rain"))
assert of is not None and not isinstance(of, Error) and len(FromAnswerLabelsItem) == 4
assert all(isinstance(label, FromAnswerLabelsItem) for label in of.answers[0].labels)
stars = predict_stars.sync(client=client, body=PredictStarsTexts(inputs="rain"))
assert stars is not None and not isinstance(stars, Error) and isinstance(stars.answers[0].label, StarsAnswerLabel)
size = predict_size.sync(client=client, body=PredictSizeTexts(inputs="rain"))
assert size is not None and not isinstance(size, Error) and size.answers[0].value + 0.0 < 100
words = PredictPlacesObjects(inputs=PlacesInput(tokens=["Paris", "rains"]))
places = predict_places.sync(client=client, body=words)
assert places is not None and not isinstance(places, Error) and len(places.answers[0].tags) == 2
assert all(isinstance(tag, PlacesAnswerTagsItem) for tag in places.answers[0].tags)
within = predict_within.sync(client=client, body=PredictWithinPairs(inputs=[["a", "b"]]))
assert within is not None and not isinstance(within, Error)
assert isinstance(within.answers[0].label, WithinAnswerLabel)
where = predict_where.sync(client=client, body=PredictWherePairs(inputs=[["where?", "in Lisbon"]]))
assert where is not None and not isinstance(where, Error) and isinstance(where.answers[0].text, str)
query = PredictOrderQueries(inputs=Query(query="rain", candidates=["a", "b"]))
order = predict_order.sync(client=client, body=query)
assert order is not None and not isinstance(order, Error)
best = order.answers[0]
assert isinstance(best, OrderAnswerRanked) and {row.candidate for row in best.ranked} == {"a", "b"}
scored = predict_order.sync(client=client, body=PredictOrderPairs(inputs=[["rain", "a"]]))
assert scored is not None and not isinstance(scored, Error) and isinstance(scored.answers[0], OrderAnswerScore)

refused = predict_mood.sync(client=client, body=PredictMoodTexts(inputs=""))
assert isinstance(refused, Error) and refused.error_type is ErrorErrorType.BAD_CONTENT and refused.hint
stranger = AuthenticatedClient(base_url=sys.argv[1], token="wrong")
unknown = info.sync(client=stranger)
assert isinstance(unknown, Error) and unknown.error_type is ErrorErrorType.UNAUTHORISED
print("every route answered")
"""


def ran(*command: str, folder: Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_a_generated_client_reads_typed_answers_of_every_route(tiny_encoder: Path, tmp_path: Path) -> None:
    generator = shutil.which("openapi-python-client") or pytest.skip(HOW)
    with serving(make_model(tiny_encoder, {**TASKS, **ALIKE}), token=TOKEN) as of:
        document = of.get("/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}).text
        (tmp_path / "openapi.json").write_text(document, encoding="utf-8")
        (tmp_path / "driver.py").write_text(DRIVER, encoding="utf-8")
        ran(generator, "generate", "--path", "openapi.json", "--fail-on-warning", folder=tmp_path)
        (tmp_path / "motet-client" / "motet_client").rename(tmp_path / "motet_client")
        assert ran(sys.executable, "driver.py", of.url, folder=tmp_path) == "every route answered\n"
    if importlib.util.find_spec("mypy"):
        ran(sys.executable, "-m", "mypy", "--strict", "driver.py", folder=tmp_path)
