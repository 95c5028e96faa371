"""The task `tabular`: fitted on the training rows alone, kept with the model, clear about bad tables."""

import csv
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.preprocessing import StandardScaler

from tui_trainer.config.hparams import Hparams
from tui_trainer.errors import Exit, TrainerError
from tui_trainer.models.layers import json_value
from tui_trainer.models.tabular import TabularNet
from tui_trainer.tasks.tabular import Tabular, TabularHparams


def rows_of(n: int) -> list[dict[str, str]]:
    random = np.random.default_rng(0)
    colours = ["red", "green", "blue", ""]
    rows = []
    for i in range(n):
        age = random.normal(40, 12)
        colour = colours[random.integers(4)]
        income = 1000 * age + 5000 * len(colour) + random.normal(0, 100)
        rows.append(
            {
                "age": "" if i % 9 == 0 else f"{age:.3f}",
                "height": f"{random.normal(170, 9):.2f}",
                "colour": colour,
                "income": f"{income:.2f}",
                "label": "rich" if income > 55_000 else "poor",
            }
        )
    return rows


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    rows = rows_of(200)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def load(path: Path, **values: Any) -> tuple[Tabular, TabularHparams, Any]:
    hparams = TabularHparams(dataset_path=str(path), **values)
    task = Tabular()
    return task, hparams, task.datasets(hparams)


def test_fitted_on_the_training_rows_alone(people: Path) -> None:
    task, hparams, ((x, _), (x_test, _)) = load(people, target="income", ignore="label", seed=3)
    state = task.model(hparams).eval().state_dict()
    schema = json_value(state["schema"])
    offset = np.array(schema["numeric_offset"])
    with open(people, newline="") as file:
        rows = {(row["age"], row["height"]) for row in csv.DictReader(file)}
    numbers = x[:, :2].double().numpy() + offset
    assert {("" if np.isnan(age) else f"{age:.3f}", f"{height:.2f}") for age, height in numbers} < rows
    expected = StandardScaler().fit(numbers)
    np.testing.assert_allclose(offset, expected.mean_, rtol=1e-6)
    assert state["standardize.mean"].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(state["standardize.std"].numpy(), expected.scale_, rtol=1e-6)
    everything = StandardScaler().fit(torch.cat([x, x_test])[:, :2].double().numpy() + offset)
    assert abs(everything.mean_[1] - offset[1]) > 1e-4
    assert state["gaps"].tolist() == [0]
    assert schema["categorical"] == {"colour": ["blue", "green", "red"]}
    assert schema["target"] == "income"


def test_categories_unseen_in_training_are_unknown(tmp_path: Path) -> None:
    for seed in range(20):
        path = tmp_path / "t.csv"
        path.write_text("c,z,y\n" + "".join(f"{'abcdef'[i // 2 % 6]},{i},{i * 1.5}\n" for i in range(12)))
        task, hparams, ((x, _), (x_test, _)) = load(
            path, target="y", kind="regression", seed=seed, test_size=0.5
        )
        schema = json_value(task.model(hparams).state_dict()["schema"])
        categories = len(schema["categorical"]["c"])
        assert set(x[:, 1].tolist()) == set(range(2, 2 + categories))
        if categories < 6:
            assert 1.0 in x_test[:, 1]
            return
    pytest.fail("no seed left a category out of training")


def seen(task: Tabular, hparams: TabularHparams, path: Path) -> list[float]:
    """Codes of the last column, as `read_inputs` gives them."""
    return [inputs[-1].item() for _, inputs in task.read_inputs(hparams, path)]


def kept(task: Tabular) -> Tabular:
    """A task that knows what a run keeps of the data."""
    again = Tabular()
    again.use_data_facts(task.data_facts())
    return again


def test_a_category_is_the_same_in_every_format(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    body = "".join(f"{i},{'True' if i % 2 else 'False'},{2 + i % 3},{i * 1.5}\n" for i in range(60))
    path.write_text(f"u,b,c,y\n{body}")
    task, hparams, _ = load(path, target="y", categorical="c", ignore="b")
    pandas, records, arrays = tmp_path / "p.csv", tmp_path / "r.jsonl", tmp_path / "a.npz"
    pandas.write_text("u,c\n1,2.0\n2,\n3,4.0\n")
    records.write_text('{"u": 1, "c": 2}\n{"u": 2, "c": null}\n{"u": 3, "c": "4"}\n')
    np.savez(arrays, u=np.arange(3.0), c=np.array([2, np.nan, 4]))
    for other in (pandas, records, arrays):
        assert seen(task, TabularHparams(**hparams.model_dump() | {"ignore": ()}), other) == [2.0, 0.0, 4.0]
    task, hparams, _ = load(path, target="y", ignore="c")
    records.write_text('{"u": 1, "b": true}\n{"u": 2, "b": false}\n')
    assert seen(task, TabularHparams(**hparams.model_dump() | {"ignore": ()}), records) == [3.0, 2.0]
    records.write_text("".join(f'{{"u": {i}, "b": {str(i % 2 == 0).lower()}}}\n' for i in range(60)))
    task = kept(load(path, target="b", ignore="c,y")[0])
    task.datasets(TabularHparams(dataset_path=str(records), target="b", ignore=()))
    assert task.classes == ["false", "true"]


def test_categories_that_an_earlier_version_kept_still_match(people: Path, tmp_path: Path) -> None:
    facts = {
        "target": "y", "classes": ["False", "True"], "scale": None, "numeric": [], "numeric_offset": [],
        "numeric_std": [], "gaps": [], "categorical": {"c": ["2", "2.0", "False", "x"]},
    }  # fmt: skip
    task = Tabular()
    task.use_data_facts(facts)
    assert task.data_facts() == facts
    path = tmp_path / "t.csv"
    path.write_text("c,y\n2,true\n2.0,False\n2.00,false\nfalse,True\nx,True\nz,True\n")
    hparams = TabularHparams(dataset_path=str(path), target="y", test_size=0)
    assert seen(task, hparams, path) == [2.0, 3.0, 2.0, 4.0, 5.0, 1.0]
    task.datasets(hparams)
    assert task.classes == ["False", "True"]


def test_unknown_categories_are_told_once_for_each_column(tmp_path: Path) -> None:
    path, other = tmp_path / "t.csv", tmp_path / "new.csv"
    path.write_text(
        "x,city,y\n" + "".join(f"{i},{'Oslo' if i % 2 else 'Rome'},{i * 1.5}\n" for i in range(60))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task = kept(load(path, target="y")[0])
    hparams = TabularHparams(dataset_path=str(path), target="y")
    other.write_text("x,city,y\n1,Oslo,1.5\n" + "".join(f"{i},PARIS{i},{i}.5\n" for i in range(40_000)))
    said = r'^city: 40,000 of 40,001 rows have a value never seen in training, such as "PARIS0"$'
    for read in (
        lambda: list(task.read_inputs(hparams, other)),
        lambda: task.datasets(TabularHparams(dataset_path=str(other), target="y", test_size=0)),
    ):
        with pytest.warns(UserWarning, match=said) as told:
            read()
        assert len(told) == 1
    path.write_text("c,x,y\n" + "".join(f"c{i},{i},{i * 1.5}\n" for i in range(20)))
    with pytest.warns(UserWarning, match="c: 4 of 4 rows beyond the training split have a value never seen"):
        load(path, target="y", test_size=0.2)


def test_regression_metrics_are_in_the_targets_unit(people: Path) -> None:
    task, hparams, (_, (x, y)) = load(people, target="income", ignore=["label"])
    torch.manual_seed(0)
    model = task.model(hparams).eval()
    criterion = torch.nn.MSELoss()
    with torch.no_grad():
        loss, outputs, targets = task.compute_loss(model, (x, y), criterion)
    metrics = task.metrics(outputs, targets)
    predicted = outputs.numpy()
    assert metrics["mae"].item() == pytest.approx(mean_absolute_error(y, predicted), rel=1e-5)
    r2 = metrics["r2"].finish([value.item() for value in metrics["r2"].values])
    assert r2 == pytest.approx(r2_score(y, predicted), abs=1e-5)
    std = task.model(hparams).state_dict()["target_std"].item()
    assert loss.item() == pytest.approx(float(((outputs - y) ** 2).mean()) / std**2, rel=1e-4)


def test_linear_model_finds_the_least_squares_solution() -> None:
    hparams = TabularHparams(table="diabetes", n_layers=0)
    task = Tabular()
    (x, y), (x_test, y_test) = task.datasets(hparams)
    torch.manual_seed(0)
    model = task.model(hparams)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = task.compute_loss(model, (x, y), torch.nn.MSELoss())[0]
        loss.backward()
        return loss

    optimizer.step(closure)
    expected = LinearRegression().fit(x.numpy(), y.numpy()).predict(x_test.numpy())
    with torch.no_grad():
        found = model(x_test).numpy()
    assert r2_score(y_test, found) == pytest.approx(r2_score(y_test, expected), abs=1e-3)


SECONDS = 1.7e9


def events(tmp_path: Path, unit: float = 1.0) -> Path:
    """A table of Unix times within some hours, and of what is linear in them."""
    random = np.random.default_rng(7)
    times = SECONDS + random.uniform(0, 4 * 3600, 300)
    path = tmp_path / "events.csv"
    path.write_text(
        "time,load\n" + "".join(f"{t * unit:.3f},{2 + 3e-4 * (t - SECONDS):.9f}\n" for t in times)
    )
    return path


def fit(task: Tabular, hparams: TabularHparams, train: Any) -> Any:
    torch.manual_seed(0)
    model = task.model(hparams)
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(200):
        optimizer.zero_grad()
        task.compute_loss(model, train, torch.nn.MSELoss())[0].backward()
        optimizer.step()
    return model.eval()


def score(task: Tabular, model: Any, part: Any) -> tuple[float, float]:
    with torch.no_grad():
        metrics = task.metrics(*task.compute_loss(model, part, torch.nn.MSELoss())[1:])
    return metrics["r2"].finish([value.item() for value in metrics["r2"].values]), metrics["mae"].item()


@pytest.mark.parametrize("unit", [1.0, 1e3, 1e6])
def test_a_time_that_explains_the_target(tmp_path: Path, unit: float) -> None:
    task, hparams, (train, test) = load(events(tmp_path, unit), target="load", n_layers=0)
    assert score(task, fit(task, hparams, train), test)[0] > 0.99


@pytest.mark.parametrize("unit", [1.0, 1e3, 1e6])
def test_a_time_as_target(tmp_path: Path, unit: float) -> None:
    task, hparams, (train, test) = load(events(tmp_path, unit), target="time", n_layers=0)
    assert train[0].dtype == train[1].dtype == torch.float32
    model = fit(task, hparams, train)
    with torch.no_grad():
        model.mlp.layers[-1].bias += 0.05
        predicted = task.predict(model, test[0]).numpy()
    schema = json_value(model.state_dict()["schema"])
    # The truth, from the file, of each row by its load, of which no two rows have the same.
    with open(tmp_path / "events.csv", newline="") as file:
        rows = {row["load"]: float(row["time"]) for row in csv.DictReader(file)}
    known = np.array([float(text) for text in rows])
    load_of = test[0][:, 0].double().numpy() + schema["numeric_offset"]
    truth = np.array(list(rows.values()))[np.abs(known - load_of[:, None]).argmin(1)]
    np.testing.assert_allclose(
        test[1].double().numpy() + schema["target_offset"], truth, rtol=0, atol=1e-3 * unit
    )
    r2, mae = score(task, model, test)
    assert 0.99 < r2 < 0.9999
    assert r2 == pytest.approx(r2_score(truth, predicted), abs=1e-5)
    assert mae == pytest.approx(mean_absolute_error(truth, predicted), rel=1e-3)


def test_a_checkpoint_alone_turns_raw_numbers_into_predictions(tmp_path: Path) -> None:
    task, hparams, (train, _) = load(events(tmp_path), target="time", n_layers=0)
    torch.save(fit(task, hparams, train).state_dict(), tmp_path / "model.pt")
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    # Not every device has float64.
    assert all(tensor.dtype != torch.float64 for tensor in state.values())
    schema = json_value(state["schema"])
    with open(tmp_path / "events.csv", newline="") as file:
        raw = np.array([[float(row[name]) for name in ("load", "time")] for row in csv.DictReader(file)])
    numbers = (raw[:, :1] - schema["numeric_offset"]) / state["standardize.std"].double().numpy()
    weight, bias = (state[f"mlp.layers.1.{name}"].double().numpy() for name in ("weight", "bias"))
    times = (numbers @ weight.T + bias)[:, 0] * state["target_std"].item() + schema["target_offset"]
    assert r2_score(raw[:, 1], times) > 0.99
    model = TabularNet([0.0], [1.0], [], [], 128, 0, 1, target=(0.0, 1.0), schema=schema)
    model.load_state_dict(state)
    found = model.predict(torch.from_numpy(raw[:, :1])).detach()
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found, times, rtol=0, atol=0.01)


def test_raw_times_are_standardised_as_scikit_learn_does(tmp_path: Path) -> None:
    task, hparams, ((x, _), _) = load(events(tmp_path), target="load", test_size=0.0)
    torch.save(task.model(hparams).state_dict(), tmp_path / "model.pt")
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    raw = np.loadtxt(tmp_path / "events.csv", delimiter=",", skiprows=1)[:, :1]
    expected = StandardScaler().fit_transform(raw)
    std = state["standardize.std"].double().numpy()
    alone = (raw - json_value(state["schema"])["numeric_offset"]) / std
    np.testing.assert_allclose(alone, expected, atol=1e-6)
    np.testing.assert_allclose(np.sort(x.numpy() / std, 0), np.sort(expected, 0), atol=1e-6)


def test_a_spread_of_seconds_is_no_constant_and_rounding_is(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("s,c,y\n" + "".join(f"{1.7e9 + i},0.1,{i * 0.5}\n" for i in range(60)))
    task, hparams, ((x, _), _) = load(path, target="y", kind="regression")
    std = task.model(hparams).state_dict()["standardize.std"]
    assert std[0].item() == pytest.approx(x[:, 0].double().std(correction=0).item(), rel=1e-6)
    assert 10 < std[0] < 30
    assert std[1] == 1.0
    assert x[:, 1].abs().max() < 1e-15


def test_classification_of_texts(people: Path) -> None:
    task, hparams, (train, val, test) = load(people, target="label", ignore="income", val_size=0.1)
    assert [len(part[1]) for part in (train, val, test)] == [140, 20, 40]
    shares = [part[1].float().mean().item() for part in (train, val, test)]
    assert max(shares) - min(shares) < 0.06
    outputs = task.model(hparams)(test[0])
    assert outputs.shape == (40, 2)
    assert set(task.metrics(outputs, test[1])) == {"accuracy"}
    assert json_value(task.model(hparams).state_dict()["schema"])["classes"] == ["poor", "rich"]


@pytest.mark.parametrize(
    ("values", "kind", "classes"),
    [
        (["0", "1", "1", "0"] * 5, "auto", ["0", "1"]),
        ([str(i) for i in range(20)], "auto", []),
        ([str(i) for i in range(20)] * 2, "auto", [str(i) for i in range(20)]),
        ([str(i) for i in range(21)] * 2, "auto", []),
        (["1.5", "2.5"] * 10, "auto", []),
        (["1.5", "2.5"] * 10, "classification", ["1.5", "2.5"]),
        (["0", "1"] * 10, "regression", []),
        (["yes", "no"] * 10, "auto", ["no", "yes"]),
        (["10", "9"] * 10, "auto", ["9", "10"]),
    ],
)
def test_kind(tmp_path: Path, values: list[str], kind: str, classes: list[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "".join(f"{i},{value}\n" for i, value in enumerate(values)))
    task, hparams, (train, _) = load(path, target="y", kind=kind)
    assert json_value(task.model(hparams).state_dict()["schema"])["classes"] == classes
    assert train[1].dtype == (torch.int64 if classes else torch.float32)


def test_hparams_survive_json_and_flags() -> None:
    hparams = TabularHparams(ignore="a, b c,", categorical=("d,e",))
    assert hparams.ignore == ("a", "b c")
    again = TabularHparams(**json.loads(hparams.model_dump_json()))
    assert again == hparams
    assert TabularHparams.specs()["ignore"].parse("full name,b") == "full name,b"
    assert issubclass(TabularHparams, Hparams)


BODY = "".join(f"{i},{'ab'[i % 2]},{i * 0.5}\n" for i in range(40))
WORDY = "".join(f"{i},name {i},{i * 0.5}\n" for i in range(40))
USAGE, FILE = Exit.USAGE, Exit.FILE


@pytest.mark.parametrize(
    ("text", "hparams", "code", "words"),
    [
        (f"x,c,y\n{BODY}", {}, USAGE, "no target: name the column to predict with --target"),
        (f"x,c,price\n{BODY}", {"target": "pric"}, USAGE, 'no column "pric"; did you mean price?'),
        (f"x,c,y\n{BODY}", {"ignore": "cc"}, USAGE, 'ignore: {path} has no column "cc"'),
        (f"x,c,y\n{BODY}", {"numeric": "z"}, USAGE, 'numeric: {path} has no column "z"'),
        (f"x,c,y\n{BODY}", {"ignore": "y"}, USAGE, '"y" is the target and in ignore'),
        (f"x,c,y\n{BODY}", {"ignore": "x,c"}, USAGE, "no features: {path} has no column left"),
        (f"x,c,y\n{BODY}", {"loss": "CrossEntropyLoss"}, USAGE, "CrossEntropyLoss for a regression"),
        (f"x,c,y\n{BODY}", {"target": "c", "loss": "MSELoss"}, USAGE, "MSELoss for a classification"),
        (f"x,c,y\n{BODY}", {"label_smoothing": 0.1}, USAGE, "label_smoothing needs classes"),
        (f"x,c,y\n{BODY}", {"test_size": 0.001}, USAGE, "test split leaves no sample: test_size 0.001 of 40"),
        (f"x,c,y\n{BODY}", {"numeric": "c"}, FILE, '{path}:2: column "c" has "a", no number'),
        (f"x,c,y\n{BODY}", {"target": "c", "kind": "regression"}, FILE, '{path}:2: the target "c" is "a"'),
        (f"x,c,y\n{BODY}oops,a,1\n", {}, FILE, '{path}:42: column "x" has "oops", no number, while 97.6%'),
        (f"x,c,y\n{BODY}1,a,oops\n", {}, FILE, '{path}:42: the target "y" is "oops"'),
        (f"x,c,y\n{BODY}1,a,\n2,a,NA\n", {}, FILE, '{path}:42: no value of the target "y"; 2 such rows'),
        (f"x,c,y\n{BODY}inf,a,1\n", {}, FILE, '{path}:42: column "x" has inf'),
        (f"x,c,y\n{BODY}1,a,1e999\n", {}, FILE, '{path}:42: column "y" has inf'),
        (
            f"x,c,y\n{WORDY}",
            {},
            FILE,
            "too many categories: {path}: of 40 rows, these columns have that many",
        ),
        (
            "x;c;y\n" + "".join(f"{i},5;a;{i}.5\n" for i in range(9)),
            {},
            FILE,
            '"0,5", with a comma for the point',
        ),
        ("x,c,y\n" + "".join(f",a,{i}.5\n" for i in range(9)), {}, FILE, 'no row has a value of "x"'),
        ("x,c,y\n" + "1,a,b\n" * 9, {}, FILE, 'the target "y" has a single class, b'),
        ("x,c,y\n" + "1,a,2.5\n" * 9, {}, FILE, 'the target "y" is 2.5 in all rows'),
        (
            "x,y\n" + "".join(f"1,c{i}\n" for i in range(10_001)),
            {},
            FILE,
            "has 10,001 classes; 10,000 is the most",
        ),
        ("", {}, FILE, "empty table"),
        (None, {}, FILE, "does not exist"),
    ],
)
def test_bad_table(tmp_path: Path, text: str | None, hparams: dict[str, Any], code: Exit, words: str) -> None:
    path = tmp_path / "t.csv"
    if text is not None:
        path.write_text(text)
    target = {} if "no target" in words else {"target": "y"}
    with pytest.raises(TrainerError) as caught:
        load(path, **{**target, **hparams})
    assert words.format(path=path) in str(caught.value)
    assert caught.value.exit_code == code


def test_identifiers_are_named_with_the_flag_that_leaves_them_out(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("name,code,x,y\n" + "".join(f"n{i},c{i},{i},{i * 0.5}\n" for i in range(30)))
    with pytest.raises(TrainerError) as caught:
        load(path, target="y", ignore="x")
    assert '"name" (30), "code" (30)' in caught.value.message
    assert '--ignore "x,name,code"' in caught.value.hint
    load(path, target="y", ignore="name,code")
    load(path, target="y", ignore="name", categorical="code")


def test_what_new_rows_lack_is_told_in_words_that_help_a_prediction(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("age,amount,comment,y\n" + "".join(f"{i},{i},c{i},{i * 1.5}\n" for i in range(30)))
    task, hparams, _ = load(path, target="y", ignore="comment")
    for text, told, hint in (
        ("age,comment\n1,x\n", 'has no "amount"', "leave a cell empty"),
        ("ages,amont\n1,2\n", 'has no "age", "amount"', "leave a cell empty"),
        ("age,amonut,comment\n1,2,x\n", 'has no "amount"; did you mean amonut?', "leave a cell empty"),
        ("age,amount\nold,2\n", ':2: column "age" has "old", no number', "the model learned numbers in"),
    ):
        path.write_text(text)
        with pytest.raises(TrainerError) as caught:
            list(task.read_inputs(hparams, path))
        assert caught.value.message.endswith(told)
        assert hint in caught.value.hint
        assert "--categorical" not in caught.value.hint
    path.write_text("age,y\n" + "".join(f"{i},{i * 1.5}\n" for i in range(30)))
    with pytest.raises(TrainerError, match=r'ignore: .* has no column "a", "b"$'):
        load(path, target="y", ignore="a,b")


def test_class_of_one_sample_trains(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(20)) + "99,rare\n")
    _, _, ((x, y), (_, y_test)) = load(path, target="y")
    assert y[x[:, 0].argmax()].item() == 2
    assert 2 not in y_test


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"ignore": "a", "numeric": "a"}, "numeric"),
        ({"numeric": "a", "categorical": "b,a"}, "categorical"),
        ({"kind": "regression", "loss": "CrossEntropyLoss"}, "loss"),
        ({"kind": "classification", "loss": "MSELoss"}, "loss"),
    ],
)
def test_hparams_that_contradict_each_other(values: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        TabularHparams(**values)
