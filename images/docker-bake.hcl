# The images, built by BuildKit from one Dockerfile:
#   docker buildx bake --file images/docker-bake.hcl                       # launcher, ray, train
#   REGISTRY=registry.example/team PUSH=true docker buildx bake --file images/docker-bake.hcl all
# Pin both bases by digest for builds that must repeat: BASE=NAME@sha256:… UV=NAME@sha256:…

variable "REGISTRY" {
  default = "tutelage"
}

variable "VERSION" {
  default = "0.1.0"
}

# Whether the images go to the registry.
variable "PUSH" {
  default = "false"
}

# The commit that the images are labelled with.
variable "REVISION" {
  default = ""
}

variable "BASE" {
  default = "docker.io/library/python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b"
}

variable "UV" {
  default = "ghcr.io/astral-sh/uv:0.13.0@sha256:cdc6093146eb3ff6a40107b38f008b789e050e77ad87865e381d9917da55a168"
}

# A site's certificate authority, and uv's settings file, which names its package index: files on this machine.
variable "CA" {
  default = ""
}

variable "UV_SETTINGS" {
  default = ""
}

group "default" {
  targets = ["launcher", "ray", "train"]
}

group "all" {
  targets = ["launcher", "ray", "ray-vllm", "train", "train-vllm"]
}

target "image" {
  context    = "."
  dockerfile = "images/Dockerfile"
  args = {
    BASE              = BASE
    UV                = UV
    VERSION           = VERSION
    REVISION          = REVISION
    SOURCE_DATE_EPOCH = "315532800" # 1980, as the earliest time that a zip file can say
  }
  secret = concat(
    CA == "" ? [] : ["id=ca,src=${CA}"],
    UV_SETTINGS == "" ? [] : ["id=uv,src=${UV_SETTINGS}"],
  )
  attest = ["type=provenance,mode=max", "type=sbom"]
  # Timestamps are levelled, so that equal input makes equal layers, the one with torch above all.
  output = ["type=image,rewrite-timestamp=true,push=${PUSH}"]
}

target "launcher" {
  inherits = ["image"]
  target   = "launcher"
  tags     = ["${REGISTRY}/launcher:${VERSION}"]
}

target "ray" {
  inherits = ["image"]
  target   = "ray"
  tags     = ["${REGISTRY}/ray:${VERSION}"]
}

# ray for GPU workers that run models themselves.
target "ray-vllm" {
  inherits = ["ray"]
  args     = { LOCK = "requirements-vllm.txt" }
  tags     = ["${REGISTRY}/ray-vllm:${VERSION}"]
}

target "train" {
  inherits = ["image"]
  target   = "train"
  tags     = ["${REGISTRY}/train:${VERSION}"]
}

# train for trainings whose rollouts vLLM draws on the GPUs that train.
target "train-vllm" {
  inherits = ["train"]
  args     = { LOCK = "requirements-vllm.txt" }
  tags     = ["${REGISTRY}/train-vllm:${VERSION}"]
}
