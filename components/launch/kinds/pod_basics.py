"""What every pod of ours has, the steps' own and those of their jobs: scratch space, a home, trusted certificates.

All run on a read-only root file system, as a numeric user whom no passwd file names. What programs write goes to
/tmp, a volume of the pod's own, where HOME and the cache of models are too.
"""

SCRATCH = "/tmp"  # noqa: S108 - a volume of the pod's own
SCRATCH_VOLUME = "scratch"
CACHE = f"{SCRATCH}/tutelage-cache"
CERTIFICATES = "/etc/tutelage/certificates"
TRUST_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
"""Each of them names the bundle of certificates: for the store, for requests, and for OpenSSL."""
HOME_VARIABLES = {"HOME": SCRATCH, "USER": "tutelage"}
"""Without HOME, Kubeflow leaves it at /, which only root may write to; without USER, getpass.getuser() fails."""
CACHE_VARIABLES = {"TUTELAGE_CACHE": CACHE}
"""Where downloaded models are kept."""


def trust_variables(key: str) -> dict[str, str]:
    """The variables that make programs trust the bundle at `key` of the certificates' volume."""
    return dict.fromkeys(TRUST_VARIABLES, f"{CERTIFICATES}/{key}")
