"""Prints the hash of a message: python3 -m permalink_milter_archiver < MESSAGE"""

from __future__ import annotations

import argparse
import sys

from .message_id import Algorithm, message_hash, message_id_of, raw_fields


def main() -> int:
    parser = argparse.ArgumentParser(prog="permalink_milter_archiver", description=__doc__)
    parser.add_argument("--algorithm", default="md5", choices=[algorithm.value for algorithm in Algorithm])
    algorithm = Algorithm(parser.parse_args().algorithm)
    message_id = message_id_of(raw_fields(sys.stdin.buffer.read()))
    if not message_id:
        print("the message has no Message-ID", file=sys.stderr)
        return 1
    print(message_hash(algorithm, message_id))
    return 0


if __name__ == "__main__":
    sys.exit(main())
