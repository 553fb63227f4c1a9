"""Addresses at which the ISIC challenges and HAM10000 are offered to everyone, without an account.

The challenges' page https://challenge.isic-archive.com/data/ links to one storage bucket; an older one, to which it
linked before, is tried second. HAM10000 is https://doi.org/10.7910/DVN/DBW86T on Harvard Dataverse, whose files are
known by numbers. No checksum published by either was at hand when this was written, so none is given: the first
download is recorded and held to afterwards. PH2 is offered on request: https://www.fc.up.pt/addi/ph2%20database.html.
"""

from meddiff.sources.source import Archive

_ISIC = "https://isic-archive.s3.amazonaws.com/challenges"
_ISIC_BEFORE = "https://isic-challenge-data.s3.amazonaws.com"
_DATAVERSE = "https://dataverse.harvard.edu/api/access/datafile"
CC0, CC_BY_NC = "CC0-1.0", "CC-BY-NC-4.0"


def _challenge(name: str, year: int, license_name: str, files: dict[str, str]) -> tuple[Archive, ...]:
    """Return the files of one challenge: file name -> what is in it."""
    url, before = f"{_ISIC}/{year}", f"{_ISIC_BEFORE}/{year}"
    return tuple(
        Archive(name, f"{url}/{file}", file, (f"{before}/{file}",), note=what, license=license_name)
        for file, what in files.items()
    )


def _ham(number: int, file: str, what: str, *, query: str = "") -> Archive:
    return Archive("ham10000", f"{_DATAVERSE}/{number}{query}", file, note=what, license=CC_BY_NC)


ARCHIVES: tuple[Archive, ...] = (
    _ham(4338392, "HAM10000_metadata.csv", "7 diagnoses, lesion ids, age, sex, site", query="?format=original"),
    _ham(3172585, "HAM10000_images_part_1.zip", "5000 images of 600x450"),
    _ham(3172584, "HAM10000_images_part_2.zip", "5015 images of 600x450"),
    _ham(3838943, "HAM10000_segmentations_lesion_tschandl.zip", "10015 lesion masks, 11 MB"),
    *_challenge("isic2016", 2016, CC0, {
        "ISBI2016_ISIC_Part1_Training_Data.zip": "900 images",
        "ISBI2016_ISIC_Part1_Training_GroundTruth.zip": "900 lesion masks",
        "ISBI2016_ISIC_Part3_Training_GroundTruth.csv": "benign or malignant",
        "ISBI2016_ISIC_Part1_Test_Data.zip": "379 images",
        "ISBI2016_ISIC_Part1_Test_GroundTruth.zip": "379 lesion masks",
        "ISBI2016_ISIC_Part3_Test_GroundTruth.csv": "benign or malignant",
    }),
    *_challenge("isic2017", 2017, CC0, {
        "ISIC-2017_Training_Data.zip": "2000 images, several GB",
        "ISIC-2017_Training_Part1_GroundTruth.zip": "2000 lesion masks",
        "ISIC-2017_Training_Part3_GroundTruth.csv": "3 diagnoses",
        "ISIC-2017_Validation_Data.zip": "150 images",
        "ISIC-2017_Validation_Part1_GroundTruth.zip": "150 lesion masks",
        "ISIC-2017_Validation_Part3_GroundTruth.csv": "3 diagnoses",
        "ISIC-2017_Test_v2_Data.zip": "600 images, several GB",
        "ISIC-2017_Test_v2_Part1_GroundTruth.zip": "600 lesion masks",
        "ISIC-2017_Test_v2_Part3_GroundTruth.csv": "3 diagnoses",
    }),
    *_challenge("isic2018-task1", 2018, CC0, {
        "ISIC2018_Task1-2_Training_Input.zip": "2594 images, about 10 GB",
        "ISIC2018_Task1_Training_GroundTruth.zip": "2594 lesion masks",
        "ISIC2018_Task1-2_Validation_Input.zip": "100 images, about 0.2 GB",
        "ISIC2018_Task1_Validation_GroundTruth.zip": "100 lesion masks",
        "ISIC2018_Task1-2_Test_Input.zip": "1000 images, about 2 GB",
        "ISIC2018_Task1_Test_GroundTruth.zip": "1000 lesion masks",
    }),
    *_challenge("isic2018-task3", 2018, CC_BY_NC, {
        "ISIC2018_Task3_Training_Input.zip": "10015 images (those of HAM10000), about 2.6 GB",
        "ISIC2018_Task3_Training_GroundTruth.zip": "7 diagnoses",
        "ISIC2018_Task3_Training_LesionGroupings.csv": "which images show one lesion",
        "ISIC2018_Task3_Validation_Input.zip": "193 images",
        "ISIC2018_Task3_Validation_GroundTruth.zip": "7 diagnoses",
        "ISIC2018_Task3_Test_Input.zip": "1512 images, about 0.4 GB",
        "ISIC2018_Task3_Test_GroundTruth.zip": "7 diagnoses",
    }),
    *_challenge("isic2019", 2019, CC_BY_NC, {
        "ISIC_2019_Training_Input.zip": "25331 images, about 9 GB",
        "ISIC_2019_Training_GroundTruth.csv": "8 diagnoses",
        "ISIC_2019_Training_Metadata.csv": "age, sex, site, lesion ids",
    }),
    *_challenge("isic2019-test", 2019, CC_BY_NC, {
        "ISIC_2019_Test_Input.zip": "8238 images, several GB",
        "ISIC_2019_Test_GroundTruth.csv": "8 diagnoses and unknown",
        "ISIC_2019_Test_Metadata.csv": "age, sex, site",
    }),
    *_challenge("isic2020", 2020, CC_BY_NC, {
        "ISIC_2020_Training_JPEG.zip": "33126 images, tens of GB",
        "ISIC_2020_Training_GroundTruth_v2.csv": "benign or malignant, patient ids",
    }),
)  # fmt: skip
