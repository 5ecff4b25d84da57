import numpy as np
import pytest
import tensorflow as tf

from gato_coffea.errors import InputError
from gato_coffea.gato.model import GaussianMixtureModel
from gato_coffea.gato.schedules import (
    LearningRateScheduler,
    SteepnessScheduler,
    TemperatureScheduler,
    annealed,
    schedule,
)
from gato_coffea.gato.sigmoid import SigmoidModel


@pytest.mark.parametrize("mode", ["exponential", "cosine"])
def test_ends_are_exact(mode):
    assert annealed(0, 0.3, 0.0007, total=7, mode=mode) == 0.3
    assert annealed(7, 0.3, 0.0007, total=7, mode=mode) == 0.0007
    assert annealed(1000, 0.3, 0.0007, total=7, mode=mode) == 0.0007
    values = schedule(23, 0.3, 0.0007, mode=mode)
    assert (values[0], values[-1], len(values)) == (0.3, 0.0007, 23)
    assert (np.diff(values) < 0).all()


def test_middle_is_the_geometric_or_arithmetic_mean():
    assert annealed(10, 4.0, 0.25, total=20, mode="exponential") == pytest.approx(1.0)
    assert annealed(10, 4.0, 0.25, total=20, mode="cosine") == pytest.approx(2.125)


def test_short_schedules():
    assert schedule(1, 2.0, 0.5).tolist() == [0.5]
    assert schedule(0, 2.0, 0.5).tolist() == []


def test_temperature_of_a_model():
    model = GaussianMixtureModel(3, 1)
    scheduler = TemperatureScheduler(model, 1.0, 0.05, total_epochs=10, mode="cosine")
    assert scheduler.update(0) == 1.0
    assert model.temperature == 1.0
    scheduler.update(10)
    assert model.temperature == pytest.approx(0.05, rel=1e-6)


def test_steepness_of_every_variable_also_a_plain_number():
    model = SigmoidModel([{"bins": 2, "range": (0, 1)}, {"bins": 3, "range": (0, 1)}])
    model.var_cfg[1]["k"] = 5.0
    SteepnessScheduler(model, 5.0, 200.0, total_epochs=4).update(4)
    assert float(model.var_cfg[0]["k"]) == 200.0
    assert model.var_cfg[1]["k"] == 200.0


def test_learning_rate_acts_inside_a_compiled_step():
    optimizer = tf.keras.optimizers.SGD(learning_rate=1.0)
    scheduler = LearningRateScheduler(optimizer, 0.5, 0.125, total_epochs=4)
    x = tf.Variable(0.0)

    @tf.function
    def step():
        optimizer.apply_gradients([(tf.constant(1.0), x)])

    assert scheduler.update(0) == 0.5
    step()
    assert float(x) == -0.5
    scheduler.update(4)
    step()
    assert float(x) == -0.625


def test_verbose_prints(capsys):
    TemperatureScheduler(GaussianMixtureModel(2, 1), 1.0, 0.25, verbose=True).update(50)
    SteepnessScheduler(SigmoidModel([{"bins": 2, "range": (0, 1)}]), 5.0, 20.0).update(50)
    LearningRateScheduler(tf.keras.optimizers.SGD(), mode="exponential", verbose=True).update(0)
    printed = capsys.readouterr().out.splitlines()
    assert printed == ["epoch 50: temperature 0.5", "epoch 0: learning rate 0.5"]


def test_a_variable_stays_the_one_that_a_compiled_step_has_seen():
    class Model(tf.Module):
        def __init__(self):
            super().__init__()
            self.temperature = tf.Variable(1.0)

    model = Model()
    seen = tf.function(lambda: 2.0 * model.temperature)
    assert float(seen()) == 2.0
    scheduler = TemperatureScheduler(model, 1.0, 0.25, total_epochs=2)
    assert scheduler.update(1) == 0.5
    assert float(seen()) == 1.0
    assert isinstance(model.temperature, tf.Variable)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "linear"}, "mode must be exponential or cosine"),
        ({"total_epochs": 0}, "total must be positive"),
        ({"t_final": 0.0}, "exponential needs positive ends"),
    ],
)
def test_what_cannot_be(arguments, message):
    with pytest.raises(InputError, match=message):
        TemperatureScheduler(None, **arguments)
