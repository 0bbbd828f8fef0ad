"""Random-resized crops of 224 x 224 with a flip, from an S3 server on this machine whose answers take 50 ms longer and
come at 50 MB/s: the first epoch, from the constructor on, and the second one, next to the same from the local disk.

python -m benchmarks.remote
"""

import tempfile

import boto3

from benchmarks import options, report
from benchmarks.contest import Child, Result, ask_once, say
from benchmarks.s3_store import BUCKET, distant, s3_server
from benchmarks.work import RANDOM_CROP, Work

LATENCY, BYTES_PER_SECOND = 0.05, 50e6
CONTENDERS = ("ours_remote", "lit_data_remote", "mosaic_streaming_remote", "ours_local")
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}


def main() -> None:
    chosen = options.parse(__doc__, CONTENDERS, {"photos": 2000, "seconds": 10.0, "repeats": 3})
    work = Work(RANDOM_CROP, chosen.photos, min(256, max(1, chosen.photos // 4)))
    first = [Result(name) for name in chosen.contenders]
    second = [Result(name) for name in chosen.contenders]
    with s3_server() as near, distant(near, LATENCY, BYTES_PER_SECOND) as far:
        boto3.client("s3", endpoint_url=near, **_arguments()).create_bucket(Bucket=BUCKET)
        for name in chosen.contenders:
            ask_once("store", "seconds", name, work, Result(name), _environment(near))
        ask_once("prepare", "seconds", "ours_local", work, Result("ours_local"))  # kernels' caches
        for _ in range(chosen.repeats):
            for begin, later in zip(first, second, strict=True):
                _measure(begin, later, work, chosen.seconds, far)
    num_bytes = sum(path.stat().st_size for path in work.paths())
    link = Result("the_link", [BYTES_PER_SECOND * work.count / num_bytes] * chosen.repeats)
    settings = vars(chosen)
    title = "random-resized crop 224 from S3, 50 ms and 50 MB/s away"
    epoch = "First epoch, from the constructor on, of a "
    report.publish("remote_first", epoch + title, "images/s", [*first, link], reference="the_link", settings=settings)
    epoch = "Second epoch of a "
    report.publish("remote_second", epoch + title, "images/s", second, reference="ours_local", settings=settings)


def _measure(first: Result, second: Result, work: Work, seconds: float, endpoint: str) -> None:
    """A new process with an empty cache: its first epoch, and those after it."""
    with tempfile.TemporaryDirectory() as cache:
        environment = _environment(endpoint) | {"REMOTE_CACHE": cache}
        with Child("epochs", first.name, work, environment) as child:
            replies = [child.ask(question) for question in ("0", str(seconds))] if child.start() else [None]
            for result, reply in zip((first, second), replies, strict=False):
                result.versions, result.note = child.result.versions, child.result.note
                if reply is not None:
                    result.values.append(reply["images_per_second"])
            say(f"{first.name}: {first.note or [round(result.values[-1]) for result in (first, second)]}")


def _environment(endpoint: str) -> dict[str, str]:
    return {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint, "S3_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true"}


def _arguments() -> dict[str, str]:
    key, secret, region = CREDENTIALS.values()
    return {"aws_access_key_id": key, "aws_secret_access_key": secret, "region_name": region}


if __name__ == "__main__":
    main()
