"""W&B's records as protobuf messages: those, and of them the fields, that a run is made of.

Described here, and not taken from the `wandb` package, so that a log is read where no SDK is installed, or one of
another age (ADR 33). A field that is not described is left alone; numbers and types of what is described never change,
since logs are kept for years.

Source: wandb/proto/wandb_internal.proto and wandb_telemetry.proto of W&B's SDK.
"""

from __future__ import annotations

import re
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

_PACKAGE = "wandb_mirror.log"

# A line a message, as in a .proto file; a name behind the number is the one that JSON has; numbers from 1000 on are
# ours (see `recording`). `Flags` stands for messages of booleans: their numbers alone matter, and need no description.
_MESSAGES = """
Record: int64 num = 1; History history = 2; Changes summary = 3; Output output = 4; Changes config = 5; Files files = 6; Stats stats = 7; Artifact artifact = 8; Flags tbrecord = 9; Alert alert = 10; Telemetry telemetry = 11; Metric metric = 12; Output output_raw = 13; Run run = 17; Exit exit = 18; Flags final = 20; Header header = 21; Flags footer = 22; Flags preempting = 23; UseArtifact use_artifact = 25; Environment environment = 26; OutputLogger output_logger = 27
Header: Version version_info = 1
Version: string producer = 1; string min_consumer = 2
Item: string key = 1; repeated string nested_key = 2; string value_json = 16
Changes: repeated Item update = 1; repeated Item remove = 2
Step: int64 num = 1
History: repeated Item item = 1; Step step = 2
Output: int32 output_type = 1; google.protobuf.Timestamp timestamp = 2; string line = 3
OutputLogger: string line = 1; bool numbered = 1000; int64 number = 1001; string level = 1002; string at = 1003
Files: repeated File files = 1
File: string path = 1; int32 policy = 2; int32 type = 3
Stats: google.protobuf.Timestamp timestamp = 2; repeated Item item = 3
Exit: int32 exit_code = 1; int32 runtime = 2; bool not_complete = 3
Run: string run_id = 1; string entity = 2; string project = 3; Changes config = 4; Changes summary = 5; string run_group = 6; string job_type = 7; string display_name = 8; string notes = 9; repeated string tags = 10; string sweep_id = 12; string host = 13; int64 starting_step = 14; string storage_id = 16; google.protobuf.Timestamp start_time = 17; bool resumed = 18; Telemetry telemetry = 19; int32 runtime = 20; Git git = 21; bool forked = 22; BranchPoint branch_point = 23
Git: string remote_url = 1 remote; string commit = 2
BranchPoint: string run = 1; double value = 2; string metric = 3
Metric: string name = 1; string glob_name = 2; string step_metric = 4; int32 step_metric_index = 5; MetricOptions options = 6; MetricSummary summary = 7; int32 goal = 8; MetricControl control = 9; bool expanded_from_glob = 10
MetricOptions: bool step_sync = 1; bool hidden = 2; bool defined = 3
MetricSummary: bool min = 1; bool max = 2; bool mean = 3; bool best = 4; bool last = 5; bool none = 6; bool copy = 7; bool first = 8
MetricControl: bool overwrite = 1
Alert: string title = 1; string text = 2; string level = 3; int64 wait_duration = 4
Flags:
Telemetry: Flags imports_init = 1; Flags imports_finish = 2; Flags feature = 3; string python_version = 4; string cli_version = 5; string huggingface_version = 6; Flags env = 8; Label label = 9; Flags deprecated = 10; string core_version = 12; string platform = 13
Label: string code_string = 1; string repo_string = 2; string code_version = 3
Artifact: string run_id = 1; string project = 2; string entity = 3; string type = 4; string name = 5; string digest = 6; string description = 7; string metadata = 8; bool user_created = 9; bool use_after_commit = 10; repeated string aliases = 11; Manifest manifest = 12; string distributed_id = 13; bool finalize = 14; string client_id = 15; string sequence_client_id = 16; string base_id = 17; int64 ttl_duration_seconds = 18; repeated string tags = 19; bool incremental_beta1 = 100
Manifest: int32 version = 1; string storage_policy = 2; repeated Extra storage_policy_config = 3; repeated ManifestEntry contents = 4; string manifest_file_path = 5
ManifestEntry: string path = 1; string digest = 2; string ref = 3; int64 size = 4; string mimetype = 5; string local_path = 6; string birth_artifact_id = 7; bool skip_cache = 8; repeated Extra extra = 16
Extra: string key = 1; string value_json = 2
UseArtifact: string id = 1; string type = 2; string name = 3
Environment: string os = 1; string python = 2; google.protobuf.Timestamp started_at = 3; string docker = 4; repeated string args = 5; string program = 6; string code_path = 7; string code_path_local = 8; Git git = 9; string email = 10; string root = 11; string host = 12; string username = 13; string executable = 14; string colab = 15; uint32 cpu_count = 16 cpu_count; uint32 cpu_count_logical = 17 cpu_count_logical; string gpu_type = 18 gpu; uint32 gpu_count = 19 gpu_count; map Disk disk = 20; Memory memory = 21; Cpu cpu = 22; Apple apple = 23; repeated Nvidia gpu_nvidia = 24 gpu_nvidia; string cuda_version = 25; repeated Amd gpu_amd = 26 gpu_amd; map string slurm = 27; Trainium trainium = 28; Tpu tpu = 29; CoreWeave coreweave = 30; string writer_id = 199
Disk: uint64 total = 1; uint64 used = 2
Memory: uint64 total = 1
Cpu: uint32 count = 1; uint32 count_logical = 2; string model = 3
Apple: string name = 1; uint32 ecpu_cores = 2; uint32 pcpu_cores = 3; uint32 gpu_cores = 4; uint32 memory_gb = 5; uint64 swap_total_bytes = 6; uint64 ram_total_bytes = 7; string mac_model = 8
Nvidia: string name = 1; uint64 memory_total = 2; uint32 cuda_cores = 3; string architecture = 4; string uuid = 5
Amd: string id = 1; string unique_id = 2; string vbios_version = 3; string performance_level = 4; string gpu_overdrive = 5; string gpu_memory_overdrive = 6; string max_power = 7; string series = 8; string model = 9; string vendor = 10; string sku = 11; string sclk_range = 12; string mclk_range = 13
Trainium: string name = 1; string vendor = 2; uint32 neuron_device_count = 3; uint32 neuroncore_per_device_count = 4
Tpu: string name = 1; uint32 hbm_gib = 2; uint32 devices_per_chip = 3; uint32 count = 4
CoreWeave: string cluster_name = 1; string org_id = 2; string region = 3
"""  # noqa: E501 - a line a message

_FIELD = re.compile(r"(?:(repeated|map) )?([\w.]+) (\w+) = (\d+)(?: (\w+))?")
_Proto = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "int64": _Proto.TYPE_INT64, "int32": _Proto.TYPE_INT32, "uint32": _Proto.TYPE_UINT32, "uint64": _Proto.TYPE_UINT64,
    "bool": _Proto.TYPE_BOOL, "string": _Proto.TYPE_STRING, "double": _Proto.TYPE_DOUBLE,
}  # fmt: skip


def _described() -> type[Message]:
    time = timestamp_pb2.DESCRIPTOR
    file = descriptor_pb2.FileDescriptorProto(
        name="wandb_mirror_log.proto", package=_PACKAGE, syntax="proto3", dependency=[time.name]
    )
    for line in _MESSAGES.strip().splitlines():
        name, _, fields = line.partition(":")
        message = file.message_type.add(name=name)
        for label, kind, field, number, json_name in _FIELD.findall(fields):
            added = message.field.add(name=field, number=int(number))
            added.label = _Proto.LABEL_REPEATED if label else _Proto.LABEL_OPTIONAL
            if json_name:
                added.json_name = json_name
            if label == "map":
                kind = _map_entry(message, field, kind)
            _set_kind(added, kind)
            if name == "Record" and kind not in _SCALARS:
                added.oneof_index = 0
        if name == "Record":
            message.oneof_decl.add(name="kind")
    pool = descriptor_pool.DescriptorPool()  # of our own: the SDK's messages may be in the default one
    pool.AddSerializedFile(time.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    found: type[Message] = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Record"))
    return found


def _map_entry(message: descriptor_pb2.DescriptorProto, field: str, kind: str) -> str:
    entry = message.nested_type.add(name=f"{field.title()}Entry")
    entry.options.map_entry = True
    for number, (name, of) in enumerate((("key", "string"), ("value", kind)), 1):
        _set_kind(entry.field.add(name=name, number=number, label=_Proto.LABEL_OPTIONAL), of)
    return f"{_PACKAGE}.{message.name}.{entry.name}"


def _set_kind(field: descriptor_pb2.FieldDescriptorProto, kind: str) -> None:
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = _Proto.TYPE_MESSAGE, f".{kind}" if "." in kind else f".{_PACKAGE}.{kind}"


Record: Any = _described()  # the class of W&B's `Record`; made at import, its attributes are those above
Item: Any = type(Record().history.item.add())


def parse_record(content: bytes) -> Any:
    """The bytes of a record as a `Record`.

    Raises:
        ValueError: they are none.
    """
    try:
        return Record.FromString(content)
    except DecodeError as error:
        raise ValueError(f"a record cannot be read: {error}") from error


def flags_in(message: Any) -> list[int]:
    """The numbers of the fields that are set in a message of `Flags`."""
    return sorted({field.field_number for field in UnknownFieldSet(message)})  # type: ignore[attr-defined] # by index
