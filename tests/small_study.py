"""The demo's study made small: two arms, three learning rates, two seeds, few rows and questions."""

from pathlib import Path
from typing import Any

import yaml

STUDY = Path(__file__).parents[1] / "pipelines" / "recipes" / "study-demo.yaml"
RATES = [3e-4, 1e-3, 3e-3]


def small_study(folder: Path, store: str, **changes: Any) -> str:
    """Write a study of two arms with few rows and questions; return its path."""
    recipe = yaml.safe_load(STUDY.read_text())
    recipe["store"] = store
    for source in recipe["collect"]["sources"]:
        source["limit"] = 30
    recipe["collect"]["max_rejected_share"] = 0.5
    recipe["collect"]["benchmarks"][0]["limit"] = 40
    # The rows' own responses: no model labels, answers or scores them.
    recipe["curate"] = {"labeller": "rules", "rare_below": 1}
    recipe["synthesize"] = {"origins": ["original"]}
    recipe["select"] = {"perplexity": {"scorer": "none"}, "quality": {"scorer": "none"}}
    for method in recipe["methods"].values():
        method["settings"].update(launch={"processes_per_node": 1})
        method["learning_rates"] = {"all": RATES, "lora": RATES}
    del recipe["grid"]
    recipe.update({"arms": [{"chain": "sft@1"}, {"chain": "sft@2"}], "seeds": [0, 1], **changes})
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))
    return str(path)
