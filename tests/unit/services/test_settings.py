"""The config files of the tiers."""

from pathlib import Path

import pytest

from offramp import config
from offramp.errors import ConfigError
from services.settings import EngineSettings, TierSettings

ROOT = Path(__file__).parents[3]
SERVER = "server: {address: '127.0.0.1:0', metrics_address: '127.0.0.1:0'}\n"


@pytest.mark.parametrize("service", ["small", "large"])
def test_the_config_that_ships_is_valid(service):
    settings = config.load(ROOT / "deploy" / "config" / f"{service}.yaml", TierSettings)
    assert settings.engine == EngineSettings()


def test_engine_settings_have_defaults():
    settings = config.parse(f"{SERVER}bundle: here\n", TierSettings, "tier.yaml")
    assert (settings.engine.max_batch, settings.engine.max_queue) == (None, 4096)
    assert settings.tier is None


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("engine: {max_batch: 0}", "tier.yaml:3: engine.max_batch: "),
        ("engine: {max_queu: 5}", "tier.yaml:3: engine.max_queu: unknown key"),
        ("engine: {device: tpu}", "tier.yaml:3: engine.device: "),
        ("engine: {precision: int8, device: cuda}", "tier.yaml:3: engine: "),
        ("engine: {precision: fp8}", "tier.yaml:3: engine.precision: Input should be 'auto',"),
    ],
)
def test_mistakes_name_file_line_and_key(line, complaint):
    with pytest.raises(ConfigError) as error:
        config.parse(f"{SERVER}bundle: here\n{line}\n", TierSettings, "tier.yaml")
    assert str(error.value).startswith(complaint)
