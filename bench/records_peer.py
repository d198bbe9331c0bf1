"""MindSpore's and TensorFlow's side of `bench/records.py`, in their own environment.

    records_peer.py write ROWS LENGTH VOCABULARY TFRECORDS MINDRECORDS
    records_peer.py tfrecord FOLDER LENGTH [one-by-one]
    records_peer.py mindrecord FOLDER LENGTH
    records_peer.py checkpoint FILE
    records_peer.py load FILE

Prints a line of JSON.
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("GLOG_v", "3")


def rows(count, length, vocabulary):
    import numpy

    numbers = numpy.random.default_rng(1)
    for index in range(count):
        real = int(numbers.integers(8, length + 1))
        ids = numpy.zeros(length, numpy.int64)
        ids[:real] = numbers.integers(1000, vocabulary, real)
        ids[0], ids[real - 1] = 101, 102
        mask = (numpy.arange(length) < real).astype(numpy.int64)
        yield ids, mask, numpy.zeros(length, numpy.int64), numpy.array([index % 2], numpy.int64)


# Rows at a time, which is faster for both than one by one.
BATCH = 256
NAMES = ("input_ids", "input_mask", "segment_ids", "label_ids")


def write(count, length, vocabulary, tfrecords, mindrecords):
    import tensorflow as tf
    from mindspore.mindrecord import FileWriter

    count, length, vocabulary = int(count), int(length), int(vocabulary)
    for folder in (tfrecords, mindrecords):
        Path(folder).mkdir(parents=True)
    with tf.io.TFRecordWriter(f"{tfrecords}/train.tfrecord") as out:
        for row in rows(count, length, vocabulary):
            feature = {
                name: tf.train.Feature(int64_list=tf.train.Int64List(value=values))
                for name, values in zip(NAMES, row)
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            out.write(example.SerializeToString())
    writer = FileWriter(f"{mindrecords}/train.mindrecord", shard_num=1)
    writer.add_schema({name: {"type": "int64", "shape": [-1]} for name in NAMES}, "rows")
    page = []
    for row in rows(count, length, vocabulary):
        page.append(dict(zip(NAMES, row)))
        if len(page) == 1000:
            writer.write_raw_data(page)
            page = []
    if page:
        writer.write_raw_data(page)
    writer.commit()
    print(json.dumps({}))


def read_tfrecords(folder, length, one_by_one=False):
    import tensorflow as tf

    length = int(length)
    features = {name: tf.io.FixedLenFeature([1 if name == "label_ids" else length], tf.int64) for name in NAMES}
    files = sorted(str(path) for path in Path(folder).iterdir())
    if one_by_one:
        # As most scripts write it. A part of the rows is enough.
        start = time.perf_counter()
        data = tf.data.TFRecordDataset(files).take(20_000).map(
            lambda record: tf.io.parse_single_example(record, features), num_parallel_calls=tf.data.AUTOTUNE
        )
        seen = sum(1 for _ in data.prefetch(tf.data.AUTOTUNE))
        print(json.dumps({"rate": seen / (time.perf_counter() - start)}))
        return
    start = time.perf_counter()
    data = tf.data.TFRecordDataset(files).batch(BATCH).map(
        lambda records: tf.io.parse_example(records, features), num_parallel_calls=tf.data.AUTOTUNE
    )
    seen = sum(len(rows["input_ids"]) for rows in data.prefetch(tf.data.AUTOTUNE))
    print(json.dumps({"rate": seen / (time.perf_counter() - start)}))


def read_mindrecords(folder, _length):
    import mindspore.dataset as ds

    files = sorted(str(path) for path in Path(folder).iterdir() if path.suffix != ".db")
    start = time.perf_counter()
    data = ds.MindDataset(files, columns_list=list(NAMES), shuffle=False).batch(BATCH)
    seen = sum(len(rows[0]) for rows in data.create_tuple_iterator(num_epochs=1, output_numpy=True))
    print(json.dumps({"rate": seen / (time.perf_counter() - start)}))


def write_checkpoint(path):
    """Random weights of the shapes of a BERT-base of 12 layers."""
    import mindspore
    import numpy

    numbers = numpy.random.default_rng(1)
    shapes = {"bert.bert.bert_embedding_lookup.embedding_table": (30522, 768)}
    for layer in range(12):
        name = f"bert.bert.bert_encoder.layers.{layer}"
        for part in ("attention.query_layer", "attention.key_layer", "attention.value_layer", "output.dense"):
            shapes[f"{name}.attention.{part}.weight"] = (768, 768)
        shapes[f"{name}.intermediate.weight"] = (3072, 768)
        shapes[f"{name}.output.dense.weight"] = (768, 3072)
    parameters = [
        {"name": name, "data": mindspore.Tensor(numbers.standard_normal(shape, dtype=numpy.float32))}
        for name, shape in shapes.items()
    ]
    mindspore.save_checkpoint(parameters, path)
    print(json.dumps({}))


def load_checkpoint(path):
    import mindspore

    start = time.perf_counter()
    mindspore.load_checkpoint(path)
    print(json.dumps({"seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    work = {
        "write": write,
        "tfrecord": read_tfrecords,
        "mindrecord": read_mindrecords,
        "checkpoint": write_checkpoint,
        "load": load_checkpoint,
    }
    work[sys.argv[1]](*sys.argv[2:])
