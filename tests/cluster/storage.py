"""The S3 server that pods and tests share: the node's own, or one that the environment names."""

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

VARIABLES = {
    "endpoint": "TUTELAGE_CLUSTER_S3_ENDPOINT",
    "key": "TUTELAGE_CLUSTER_S3_KEY",
    "secret": "TUTELAGE_CLUSTER_S3_SECRET",
    "authority": "TUTELAGE_CLUSTER_S3_CA",
}
"""Variables for the S3 server of another cluster; the last names a file in PEM."""


@dataclass(frozen=True)
class Storage:
    """An S3 server, its keys, and the file of the authority that signed its certificate."""

    endpoint: str
    key: str
    secret: str = field(repr=False)
    authority: Path

    @property
    def keys(self) -> dict[str, str]:
        """The keys by the names of the variables that hold them."""
        return {"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret}

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process on this machine that uses it."""
        return {**self.keys, **self.settings, "AWS_CA_BUNDLE": str(self.authority)}

    @property
    def settings(self) -> dict[str, str]:
        """The part of that environment that is not secret and is valid in pods too."""
        return {"AWS_ENDPOINT_URL": self.endpoint, "AWS_REGION": "us-east-1"}

    @cached_property
    def client(self) -> Any:
        """A client of boto3 that depends on nothing in the environment."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
            verify=str(self.authority),
            config=Config(request_checksum_calculation="when_required", response_checksum_validation="when_required"),
        )

    def remove_bucket(self, bucket: str) -> None:
        """Delete a bucket with all that is in it."""
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for item in page.get("Contents", ()):
                self.client.delete_object(Bucket=bucket, Key=item["Key"])
        for upload in self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ()):
            self.client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        self.client.delete_bucket(Bucket=bucket)


def named_storage() -> Storage | None:
    """The S3 server that the environment names, or None when it does not name all of it."""
    found = {field: os.environ.get(variable, "") for field, variable in VARIABLES.items()}
    if not all(found.values()):
        return None
    return Storage(found["endpoint"], found["key"], found["secret"], Path(found["authority"]))
