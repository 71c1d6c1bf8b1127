#!/usr/bin/env python3
"""Read call detail records with an Avro library that is not the one they were written with.

Each message must be in Avro's single-object encoding: C3 01, the fingerprint of the schema (CRC-64-AVRO of its
canonical form, least significant byte first), the record. The fingerprint is computed here from the schema file, by
fastavro. Each record is printed as one line of JSON, in the form that januscdr itself uses: times are numbers of
microseconds, what is absent is null.

    avrocheck.py --hex < lines            one message a line, in hexadecimal
    avrocheck.py --base64 < lines         one message a line, in base64
    avrocheck.py --framed FILE            messages behind their length in four bytes, most significant first
    avrocheck.py --fingerprint            print the fingerprint of the schema

Needs fastavro: pip install fastavro
Ends with 0 when all messages were read, 1 at the first that was not, 2 when it could not begin.
"""

import argparse
import base64
import binascii
import datetime
import io
import json
import pathlib
import struct
import sys

try:
    import fastavro
    from fastavro.schema import fingerprint, load_schema, to_parsing_canonical_form
except ImportError:
    print("avrocheck: fastavro is missing; install it with: pip install fastavro", file=sys.stderr)
    sys.exit(2)

MARKER = b"\xc3\x01"
HEADER = len(MARKER) + 8
SCHEMA = pathlib.Path(__file__).resolve().parent.parent / "avro" / "call_detail_record.avsc"
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MICROSECOND = datetime.timedelta(microseconds=1)


class Complaint(Exception):
    """What is wrong with a message."""


def messages(args):
    """Yield the messages of the input, one after another."""
    if args.framed:
        with open(args.framed, "rb") as frames:
            while length := frames.read(4):
                if len(length) < 4:
                    raise Complaint("the file ends within a length")
                (size,) = struct.unpack(">I", length)
                message = frames.read(size)
                if len(message) < size:
                    raise Complaint(f"the file ends after {len(message)} of {size} bytes of a message")
                yield message
        return
    decode = binascii.unhexlify if args.hex else (lambda line: base64.b64decode(line, validate=True))
    for line in sys.stdin.buffer:
        if line := line.strip():
            try:
                yield decode(line)
            except binascii.Error as err:
                raise Complaint(f"not {'hexadecimal' if args.hex else 'base64'}: {err}") from err


def read(message, ours, writer, reader):
    """Return the record of a message, or complain."""
    if len(message) < HEADER:
        raise Complaint(f"{len(message)} bytes are too short, the header alone has {HEADER}")
    if message[: len(MARKER)] != MARKER:
        raise Complaint(f"it begins with {message[:len(MARKER)].hex()} instead of {MARKER.hex()}")
    theirs = message[len(MARKER) : HEADER].hex()
    if theirs != ours:
        raise Complaint(f"its fingerprint is {theirs}, that of the schema is {ours}")
    body = io.BytesIO(message[HEADER:])
    record = fastavro.schemaless_reader(body, writer, reader)
    if rest := body.read():
        raise Complaint(f"{len(rest)} bytes follow the record")
    return record


def plain(value):
    """Turn what JSON cannot say, a moment, into microseconds since the epoch."""
    if isinstance(value, datetime.datetime):
        return (value - EPOCH) // MICROSECOND
    raise TypeError(f"a record has a value of type {type(value).__name__}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument("--hex", action="store_true", help="read one message a line, in hexadecimal")
    form.add_argument("--base64", action="store_true", help="read one message a line, in base64")
    form.add_argument("--framed", metavar="FILE", help="read messages behind their length in four bytes")
    form.add_argument("--fingerprint", action="store_true", help="print the fingerprint of the schema")
    parser.add_argument("--schema", default=SCHEMA, help="the schema that the messages were written with")
    parser.add_argument("--reader-schema", help="read as a reader with this schema would")
    args = parser.parse_args()

    try:
        writer = load_schema(str(args.schema))
        reader = load_schema(args.reader_schema) if args.reader_schema else None
    except Exception as err:  # fastavro has many
        print(f"avrocheck: read the schema: {err}", file=sys.stderr)
        return 2
    ours = fingerprint(to_parsing_canonical_form(writer), "CRC-64-AVRO")
    if args.fingerprint:
        print(ours)
        return 0

    count = 0
    try:
        for message in messages(args):
            record = read(message, ours, writer, reader)
            json.dump(record, sys.stdout, default=plain, ensure_ascii=False, separators=(",", ":"))
            print()
            count += 1
    except Exception as err:  # whatever a library says of bytes that it cannot read
        print(f"avrocheck: message {count}: {type(err).__name__}: {err}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    sys.exit(main())
