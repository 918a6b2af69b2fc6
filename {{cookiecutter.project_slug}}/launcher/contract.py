"""What the launcher and the trainer share: names, exit codes and waits.

The launcher imports nothing from `trainer`, because it has to be able to report that `trainer` cannot be imported.
"""

TASK_MODULE = "trainer.task"
ARGUMENTS_MODULE = "trainer.arguments"
PREPARE_MODULE = "trainer.prepare"
PLAN_MODULE = "trainer.plan"
PREDICT_MODULE = "trainer.predict"
EVALUATE_MODULE = "trainer.evaluate"
SERVE_MODULE = "trainer.serve"
BATCH_MODULE = "trainer.batch"
MONITOR_MODULE = "trainer.monitor"

STATISTICS = "statistics.json"
"""In a folder of prepared data; names its fingerprint."""
SOURCE = "source.json"
"""In the folder of a job that prepares; what the data was made from, with its fingerprint."""
PREPARED_WITH = ("duckdb", "pyarrow", "sqlglot")
"""The distributions whose versions belong to prepared data."""
EXAMPLES = "examples.jsonl"
"""In a folder of prepared data: rows to predict."""
METRICS = "metrics.json"
"""In a job folder; written last, so its presence means that the run has finished."""
CONFIG = "config.json"
"""In a job folder; the settings of the run that writes to it."""
SAVED_MODEL = "saved_model.pb"
EVALUATION, ROW_LOSSES = "evaluation/evaluation.json", "evaluation/row_losses.bin"
"""In a job folder; the loss of each evaluated row, float32 in the byte order of the machine."""

EXIT_FAILED = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
EXITS = (0, EXIT_FAILED, EXIT_USER_ERROR, EXIT_INTERRUPTED)
"""Of the trainer, which reports why it ends with one of these."""

# Each waits for the one before it, so each has to be longer.
GRACE_SECONDS = 8.0
"""How long the trainer may take to save and exit after a signal, before it is killed."""
TRIAL_SECONDS = 14.0
"""How long the launcher of a trial may take to end its replicas."""
STOP_SECONDS = 20.0
"""How long the launcher of a command may take to end its processes. noxfile.py has the same number."""

PARENT_VARIABLE = "LAUNCHER_PARENT"
"""The number of the process without which a launcher ends. noxfile.py sets it."""
MOUNT = "/gcs"
"""Where a machine of the service sees the buckets; a local run sees them below MOUNT_VARIABLE."""
MOUNT_VARIABLE = "GCS_ROOT"
REVISION_VARIABLE = "GIT_REVISION"
# Source: https://cloud.google.com/vertex-ai/docs/training/code-requirements
OUTPUT_VARIABLES = {
    "AIP_MODEL_DIR": "model",
    "AIP_CHECKPOINT_DIR": "checkpoints",
    "AIP_TENSORBOARD_LOG_DIR": "logs",
}
TRIAL_VARIABLE = "CLOUD_ML_TRIAL_ID"
METRIC_FILE_VARIABLE = "CLOUD_ML_HP_METRIC_FILE"
CLUSTER_VARIABLE = "TF_CONFIG"
