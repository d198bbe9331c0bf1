"""Reads TFRecords with TensorFlow and with MindSpore, and compares them with others, row by row.

    read_records.py FOLDER SCHEMA EXPECTED_FOLDER
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


def main(folder, schema, expected):
    wanted = by_tensorflow(expected)
    found = by_tensorflow(folder)
    assert found == wanted, "TensorFlow reads other rows"
    # MindSpore checks no checksum and reads as many rows as the schema says.
    found = by_mindspore(folder, schema)
    assert found == wanted[: len(found)] and found, "MindSpore reads other rows"
    print(f"{len(wanted)} rows, equal in TensorFlow; {len(found)} in MindSpore")


if __name__ == "__main__":
    main(*sys.argv[1:])
