"""Made predictions of a study with known skill, for the tests of what is computed from them."""

import numpy as np
import pandas as pd

CLASSES = ("nevus", "melanoma", "keratosis")


def study(skill, *, images=240, seeds=(0, 1, 2), per_patient=2, shares=(0.7, 0.2, 0.1), seed=0, luck=0.0):
    """Predictions of arms of the given skill (mean logit of the true class) on the same test images."""
    generator = np.random.default_rng(seed)
    patients = images // per_patient
    patient_labels = np.concatenate([np.arange(3), generator.choice(3, patients - 3, p=shares)])
    group, ease = np.repeat(np.arange(patients), per_patient), generator.normal(size=patients)
    labels = patient_labels[group]
    frames = []
    for arm, level in skill.items():
        for run in seeds:
            logits = generator.normal(size=(images, 3))
            logits[np.arange(images), labels] += level + ease[group] + luck * generator.normal()
            probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
            frame = pd.DataFrame(probabilities, columns=[f"p_{name}" for name in CLASSES])
            frame["arm"], frame["seed"], frame["label"] = arm, run, np.array(CLASSES)[labels]
            frame["row_id"], frame["group"] = [f"r{i}" for i in range(images)], [f"patient{g}" for g in group]
            frames.append(frame)
    return pd.concat(frames, ignore_index=True)
