"""Training of the peer, gato-hep, as its examples do it. Runs in the peer's own interpreter.

It reads a sample from a file, trains one mixture, and writes its parameters and the times.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from gatohep.models import gato_gmm_model
from gatohep.utils import LearningRateScheduler, TemperatureScheduler


class OneSignal(gato_gmm_model):
    """Categories of one score between 0 and 1, for one signal."""

    def __init__(self, n_cats):
        super().__init__(n_cats=n_cats, dim=1, mean_norm="sigmoid", mean_range=(0.0, 1.0))

    def call(self, data):
        return -self.get_differentiable_significance(data, signal_labels=["signal"])["signal"]


class TwoSignals(gato_gmm_model):
    """Categories of two class scores, for the geometric mean of two significances."""

    def __init__(self, n_cats):
        super().__init__(n_cats=n_cats, dim=2, mean_norm="softmax")

    def call(self, data):
        z = self.get_differentiable_significance(data, signal_labels=["signal1", "signal2"])
        return -((z["signal1"] * z["signal2"]) ** 0.5)


def read_tensors(path):
    data = {}
    with np.load(path) as file:
        for key in file.files:
            process, column = key.split(".")
            name = {"x": "NN_output", "weight": "weight"}[column]
            data.setdefault(process, {})[name] = tf.constant(file[key], tf.float32)
    return data


def train(model, data, *, epochs, schedule_epochs):
    """Run the epochs; the loss and the wall time of each of them."""
    optimizer = tf.keras.optimizers.RMSprop(learning_rate=0.1)
    rate = LearningRateScheduler(
        optimizer, lr_initial=0.1, lr_final=0.001, total_epochs=schedule_epochs, mode="cosine"
    )
    temperature = TemperatureScheduler(
        model, t_initial=1.0, t_final=0.05, total_epochs=schedule_epochs, mode="cosine"
    )

    @tf.function
    def step(model, data, optimizer):
        with tf.GradientTape() as tape:
            loss = model.call(data)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    losses, times = [], []
    for epoch in range(epochs):
        begin = time.perf_counter()
        rate.update(epoch)
        temperature.update(epoch)
        losses.append(float(step(model, data, optimizer).numpy()))
        times.append(time.perf_counter() - begin)
    return losses, times


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sample", type=Path)
    parser.add_argument("result", type=Path, help="JSON file to write")
    parser.add_argument("--n-categories", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--schedule-epochs", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    data = read_tensors(options.sample)
    ready = time.time()
    tf.random.set_seed(options.seed)
    one = "signal" in data
    model = (OneSignal if one else TwoSignals)(options.n_categories)
    losses, times = train(
        model, data, epochs=options.epochs, schedule_epochs=options.schedule_epochs
    )
    result = {
        "means": model.get_effective_means().numpy().tolist(),
        "scale_tril": model.get_scale_tril().numpy().tolist(),
        "log_weights": model.get_mixture_weight().numpy().tolist(),
        "loss": losses,
        "epoch_s": times,
        "ready": ready,
        "tensorflow": tf.__version__,
    }
    options.result.write_text(json.dumps(result | {"finished": time.time()}))


if __name__ == "__main__":
    main()
