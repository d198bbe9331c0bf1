"""Reads records with TensorFlow and with MindSpore, and compares them with other TFRecords, row by row.

    read_records.py TFRECORDS SCHEMA MINDRECORDS EXPECTED_TFRECORDS
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("GLOG_v", "3")

NAMES = ("input_ids", "input_mask", "segment_ids", "label_ids")


def files(folder):
    return sorted(str(path) for path in Path(folder).iterdir())


def by_tensorflow(folder):
    import tensorflow as tf

    rows = []
    for record in tf.data.TFRecordDataset(files(folder)):
        feature = tf.train.Example.FromString(record.numpy()).features.feature
        rows.append([list(feature[name].int64_list.value) for name in NAMES])
    return rows


def by_mindspore(folder, schema):
    import mindspore.dataset as ds

    document = json.loads(Path(schema).read_text())
    assert set(NAMES) == set(document["columns"]), document["columns"].keys()
    data = ds.TFRecordDataset(files(folder), str(schema), columns_list=list(NAMES), shuffle=False)
    rows = data.create_tuple_iterator(num_epochs=1, output_numpy=True)
    return [[part.tolist() for part in row] for row in rows]


def by_mindrecord(folder):
    import mindspore.dataset as ds

    # As the published scripts choose them.
    chosen = [path for path in files(folder) if "record" in path and ".db" not in path]
    rows = []
    # All rows in order, and then those that each of two cards gets.
    for card in ({}, {"num_shards": 2, "shard_id": 0}, {"num_shards": 2, "shard_id": 1}):
        data = ds.MindDataset(chosen, columns_list=list(NAMES), shuffle=False, **card)
        found = data.create_tuple_iterator(num_epochs=1, output_numpy=True)
        rows.append([[column.tolist() for column in row] for row in found])
    return rows


def main(folder, schema, mindrecords, expected):
    wanted = by_tensorflow(expected)
    found = by_tensorflow(folder)
    assert found == wanted, "TensorFlow reads other rows"
    # MindSpore checks no checksum and reads as many rows as the schema says.
    found = by_mindspore(folder, schema)
    assert found == wanted[: len(found)] and found, "MindSpore reads other rows"
    whole, first, second = by_mindrecord(mindrecords)
    assert whole == wanted, "MindSpore reads other rows of the MindRecord files"
    # Both have as many: where the number is odd, the first row comes again.
    assert [first, second[: len(wanted) // 2]] == [wanted[0::2], wanted[1::2]], "two cards get other rows"
    print(f"{len(wanted)} rows, equal in TensorFlow; {len(found)} in MindSpore; {len(whole)} of MindRecord")


if __name__ == "__main__":
    main(*sys.argv[1:])
