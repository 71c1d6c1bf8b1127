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
import datetime
import io
import json
import pathlib
import sys
import time
import uuid

import confluent_kafka
import fastavro

SCHEMA = pathlib.Path(__file__).resolve().parent.parent / "avro" / "call_detail_record.avsc"
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MICROSECOND = datetime.timedelta(microseconds=1)


class Decoder:
    """Decodes Avro's single-object encoding: C3 01, the fingerprint of the schema, the bare datum."""

    def __init__(self, path):
        text = pathlib.Path(path).read_text(encoding="utf-8")
        canonical = fastavro.schema.to_parsing_canonical_form(json.loads(text))
        # fastavro gives these eight bytes in the order of the wire, little endian.
        self.header = b"\xc3\x01" + bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))
        self.schema = fastavro.parse_schema(json.loads(text))

    def decode(self, value):
        if value is None or value[:10] != self.header:
            begin = "nothing" if value is None else value[:10].hex()
            raise ValueError(f"record begins with {begin}, not with {self.header.hex()}: is the schema the writer's?")
        datum = io.BytesIO(value[10:])
        record = fastavro.schemaless_reader(datum, self.schema)
        if datum.read(1):
            raise ValueError("record has bytes behind its end")
        return plain(record)


def plain(value):
    """The value with moments as microseconds since the epoch."""
    if isinstance(value, datetime.datetime):
        return (value - EPOCH) // MICROSECOND
    if isinstance(value, dict):
        return {name: plain(v) for name, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value


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
    parser.add_argument("--schema", default=SCHEMA, help="the writer's schema (default: %(default)s)")
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

    decoder = Decoder(args.schema)
    for message in messages(settings, args.topic, args.patience):
        try:
            record = decoder.decode(message.value())
        except ValueError as why:
            sys.exit(f"{message.topic()}/{message.partition()} offset {message.offset()}: {why}")
        print(json.dumps(record, ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main()
