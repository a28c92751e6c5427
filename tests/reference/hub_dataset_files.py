"""Which files are which split of which configuration, as Hugging Face's datasets decides it.

For folders of files, with and without a README that says so, writes what `load_dataset_builder` takes for each
configuration's splits.

    python tests/reference/hub_dataset_files.py > tests/golden/hub/dataset-files.json
"""

import json
import os
import tempfile

from datasets import get_dataset_config_names, load_dataset_builder


def readme(configs: str) -> str:
    return f"---\nlicense: mit\n{configs}---\n\n# A dataset\n"


CASES = {
    "one file": (["pairs.jsonl"], None),
    "files named like splits": (["train.jsonl", "test.jsonl"], None),
    "files with splits in their names": (["pairs-train.csv", "pairs_validation.csv", "my.test.2.csv"], None),
    "other words for splits": (["training.jsonl", "dev.jsonl", "eval.jsonl"], None),
    "shards in data/": (
        ["data/train_prefs-00000-of-00002.parquet", "data/train_prefs-00001-of-00002.parquet"]
        + ["data/test_prefs-00000-of-00001.parquet", "data/test_sft-00000-of-00001.parquet", "README.md"],
        None,
    ),
    "usual splits first among shards": (
        ["data/a-00000-of-00001.parquet", "data/test-00000-of-00001.parquet", "data/train-00000-of-00001.parquet"],
        None,
    ),
    "folders named like splits": (["train/a.jsonl", "train/b.jsonl", "test/a.jsonl"], None),
    "folders before file names": (["train/test.jsonl", "train/b.jsonl"], None),
    "a word that only begins like a split": (["trainers.jsonl", "retrain.jsonl"], None),
    "compressed files in folders": (
        ["harmless-base/train.jsonl.gz", "harmless-base/test.jsonl.gz"]
        + ["helpful-base/train.jsonl.gz", "helpful-base/test.jsonl.gz"],
        None,
    ),
    "the format that most files have": (["a.jsonl", "b.jsonl", "c.csv"], None),
    "hidden files": ([".cache/train.jsonl", "__MACOSX/train.jsonl", "train.jsonl"], None),
    "files beside the data": (["train.json", "dataset_info.json", "dataset_infos.json"], None),
    "configurations with a pattern for all": (
        ["main.jsonl", "extra.jsonl"],
        readme("configs:\n- config_name: main\n  data_files: main.jsonl\n- config_name: extra\n  data_files: extra.jsonl\n"),
    ),
    "configurations with patterns for splits": (
        ["helpful/a-train.jsonl", "helpful/b-train.jsonl", "helpful/x.jsonl", "harmless/a.jsonl", "deep/x/y/z.jsonl"],
        readme(
            "configs:\n"
            "- config_name: helpful\n  data_files:\n  - split: train\n    path: helpful/*-train.jsonl\n"
            "  - split: held_out\n    path: [helpful/x.jsonl]\n"
            "- config_name: harmless\n  default: true\n  data_files:\n  - harmless/?.jsonl\n"
            "- config_name: deep\n  data_files: deep/**/*.jsonl\n"
            "- config_name: some\n  data_files: helpful/[ab]-train.jsonl\n"
        ),
    ),
    "configurations that are folders": (
        ["en/train.jsonl", "en/test.jsonl", "de/all.jsonl"],
        readme("configs:\n- config_name: en\n  data_dir: en\n- config_name: de\n  data_dir: de\n"),
    ),
    "a README that says nothing of files": (["train.jsonl"], readme("")),
}


def splits_of(folder: str, config: str) -> dict[str, list[str]]:
    files = load_dataset_builder(folder, config).config.data_files
    return {str(split): sorted(os.path.relpath(path, folder) for path in paths) for split, paths in files.items()}


def main() -> None:
    cases = []
    for name, (paths, card) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            for path in paths:
                os.makedirs(os.path.join(folder, os.path.dirname(path)), exist_ok=True)
                with open(os.path.join(folder, path), "w") as file:
                    file.write("{}")
            if card is not None:
                with open(os.path.join(folder, "README.md"), "w") as file:
                    file.write(card)
            configs = {config: splits_of(folder, config) for config in get_dataset_config_names(folder)}
            cases.append({"name": name, "paths": paths, "readme": card, "configs": configs})
    print(json.dumps(cases, indent=1))


main()
