"""The schema of playbooks before somebody else's validator: every playbook that comes with quell keeps to it, and it refuses what
quell refuses by its shape."""

import json
import subprocess
import tomllib

import jsonschema
import pytest

from conftest import QUELL, ROOT

FILES = sorted(path for path in (ROOT / "playbooks").glob("*.toml") if path.name != "none.toml")


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(subprocess.run([QUELL, "playbook", "schema"], check=True, capture_output=True, text=True).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_playbook_keeps_to_the_schema(validator, file):
    validator.validate(tomllib.loads(file.read_text()))


@pytest.mark.parametrize("wrong", [{"margn": "30m"}, {"steps": ["dance"]}, {"verify": {"canary_roles": "one"}}, {"answers": {}}])
def test_what_is_misspelt_is_refused_in_the_editor(validator, wrong):
    playbook = tomllib.loads(FILES[0].read_text())
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({**playbook, **wrong})
