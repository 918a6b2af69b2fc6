"""The included sample, UCI Adult: its files have no header line, and one of them has dots after the labels."""

LABEL = "income"
POSITIVE = ">50K"
LABEL_SQL = "RTRIM(label, '.')"
DELIMITER = ","
COMMENT = "|"
MISSING = ("", "?")

KINDS = {
    "age": "numeric",
    "workclass": "categorical",
    "fnlwgt": "numeric",
    "education": "categorical",
    "education_num": "numeric",
    "marital_status": "categorical",
    "occupation": "categorical",
    "relationship": "categorical",
    "race": "categorical",
    "sex": "categorical",
    "capital_gain": "numeric",
    "capital_loss": "numeric",
    "hours_per_week": "numeric",
    "native_country": "categorical",
}
HEADER = (*KINDS, LABEL)
