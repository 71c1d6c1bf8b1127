#!/usr/bin/env python3
"""Reads the call detail records as somebody else would, with nothing of ours but the schema.

Reads the topic from its beginning to its end as it is now, committed records only, and prints each record as one line of
JSON in the form that `cdr assemble` prints: enums as text, times as integers in microseconds, absent values as null.
It fails when a record is not in Avro's single-object encoding or was written with another schema.

    python3 -m venv v && v/bin/pip install confluent-kafka fastavro
    v/bin/python scripts/external_consumer.py --brokers localhost:9092 > cdrs.jsonl

TLS and logins are librdkafka's settings: --set security.protocol=SASL_SSL --set ssl.ca.location=ca.pem ...
"""
import argparse
import json
import sys
import time
import uuid

import confluent_kafka
from fastavro.schema import fingerprint, load_schema, to_parsing_canonical_form

sys.dont_write_bytecode = True  # a script leaves nothing behind
import avrocheck  # noqa: E402  beside this script: how a message is framed


def messages(settings, topic, patience):
    """Yields the topic's committed messages, each partition up to its end. Nothing for patience seconds is an error."""
    consumer = confluent_kafka.Consumer(settings)
    try:
        known = consumer.list_topics(topic, timeout=patience).topics[topic]
        if known.error is not None:
            raise confluent_kafka.KafkaException(known.error)
        consumer.assign([confluent_kafka.TopicPartition(topic, p, confluent_kafka.OFFSET_BEGINNING) for p in known.partitions])
        unread, heard = set(known.partitions), time.monotonic()
        while unread:
            message = consumer.poll(0.5)
            if message is None:
                if time.monotonic() - heard > patience:
                    raise TimeoutError(f"read {topic}: nothing for {patience} s, partitions {sorted(unread)} have not ended")
                continue
            heard = time.monotonic()
            if message.error() is None:
                yield message
            elif message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                unread.discard(message.partition())
            else:
                raise confluent_kafka.KafkaException(message.error())
    finally:
        consumer.close()


def main():
    parser = argparse.ArgumentParser(description="Print the call detail records of a topic as lines of JSON.")
    parser.add_argument("--brokers", required=True, help="host:port, several with commas")
    parser.add_argument("--topic", default="janus.cdr")
    parser.add_argument("--schema", default=avrocheck.SCHEMA, help="the writer's schema (default: %(default)s)")
    parser.add_argument("--patience", type=float, default=30, help="seconds to wait for the next message (default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of librdkafka")
    args = parser.parse_args()

    settings = {
        "bootstrap.servers": args.brokers,
        "group.id": f"external-consumer-{uuid.uuid4()}",
        "isolation.level": "read_committed",
        "auto.offset.reset": "error",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
    }
    settings.update(pair.split("=", 1) for pair in args.set)

    schema = load_schema(str(args.schema))
    ours = fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")
    try:
        for message in messages(settings, args.topic, args.patience):
            try:
                record = avrocheck.read(message.value() or b"", ours, schema, None)
            except avrocheck.Complaint as why:
                sys.exit(f"{message.topic()}/{message.partition()} offset {message.offset()}: {why}")
            print(json.dumps(record, default=avrocheck.plain, ensure_ascii=False, separators=(",", ":")))
    except (confluent_kafka.KafkaException, TimeoutError) as why:
        sys.exit(f"read {args.topic} from {args.brokers}: {why}")


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    main()
