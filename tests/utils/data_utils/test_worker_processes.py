"""Workers open the feature file for themselves, whether they are forked or spawned."""

import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tests.utils.data_utils.corpus import Corpus, features
from utils.data_utils import AudioBatches
from utils.data_utils.clip_features import LogMelFeatures


@pytest.fixture
def corpus(tmp_path):
    """Clip 2 lies in chunks, which HDF5 itself must read."""
    return Corpus(tmp_path)


def batches(dataset, workers, start=None):
    loader = DataLoader(dataset, batch_size=None, num_workers=workers, multiprocessing_context=start)
    return [{key: value.clone() for key, value in batch.items()} for batch in loader]


@pytest.mark.parametrize(("start", "read_before"), [("fork", False), ("fork", True), ("spawn", True)])
def test_they_make_the_batches_of_one_process(corpus, start, read_before):
    store = LogMelFeatures(corpus.data, "x", corpus.clips)
    dataset = AudioBatches(store, 1)
    if read_before:  # then this process holds the file open when its workers start
        np.testing.assert_array_equal(store.views[2][:], features(2))
    there = batches(dataset, 2, start)
    here = batches(dataset, 0)
    assert len(here) == len(there) > 3
    for one, two in zip(here, there, strict=True):
        assert one.keys() == two.keys()
        for key in one:
            assert torch.equal(one[key], two[key])
    np.testing.assert_array_equal(store.views[2][:], features(2))  # and this process can still read


def test_a_store_travels_without_the_features(corpus):
    store = LogMelFeatures(corpus.data, "x", corpus.clips)
    store.views[2][:], store.views[0][:]
    pickled = pickle.dumps(store)
    assert len(pickled) < 20_000 < sum(features(clip).nbytes for clip in range(6))
    again = pickle.loads(pickled)  # noqa: S301 - made here
    for clip in range(6):
        np.testing.assert_array_equal(again.views[clip][:], features(clip))
