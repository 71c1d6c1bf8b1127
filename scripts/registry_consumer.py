#!/usr/bin/env python3
"""Reads the call detail records of a topic with a registry as Confluent's own deserializer does, and prints lines of JSON.

    python3 -m venv v && v/bin/pip install 'confluent-kafka[avro,schemaregistry]'
    v/bin/python scripts/registry_consumer.py --brokers localhost:9092 --registry http://localhost:8081 > cdrs.jsonl
"""
import argparse
import json
import sys
from datetime import datetime, timedelta, timezone

sys.dont_write_bytecode = True  # a script leaves nothing behind
from confluent_kafka.schema_registry import SchemaRegistryClient  # noqa: E402
from confluent_kafka.schema_registry.avro import AvroDeserializer  # noqa: E402
from confluent_kafka.serialization import MessageField, SerializationContext  # noqa: E402

from external_consumer import messages  # noqa: E402  beside this script: a topic to its end, committed records only

EPOCH = datetime.fromtimestamp(0, timezone.utc)


def micros(value):
    """A time as we write it in JSON: whole microseconds."""
    if isinstance(value, datetime):
        return (value - EPOCH) // timedelta(microseconds=1)
    raise TypeError(f"{type(value)} in a record")


def main():
    parser = argparse.ArgumentParser(description="Print the call detail records of a topic as lines of JSON.")
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--registry", required=True)
    parser.add_argument("--topic", default="janus.cdr")
    args = parser.parse_args()
    read = AvroDeserializer(SchemaRegistryClient({"url": args.registry}))
    settings = {
        "bootstrap.servers": args.brokers,
        "group.id": "registry-consumer",
        "isolation.level": "read_committed",
        "auto.offset.reset": "error",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
    }
    for message in messages(settings, args.topic, 30):
        record = read(message.value(), SerializationContext(message.topic(), MessageField.VALUE))
        print(json.dumps(record, default=micros, ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main()
