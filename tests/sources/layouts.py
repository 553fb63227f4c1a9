"""Small folders laid out as the publishers distribute them. The images are empty files: sources never open one."""

from collections.abc import Iterable
from pathlib import Path


def touch(folder: Path, names: Iterable[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def table(path: Path, *lines: str, start: bytes = b"", end: str = "\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(start + "".join(line + end for line in lines).encode())


HAM10000 = (
    "lesion_id,image_id,dx,dx_type,age,sex,localization",
    "HAM_0000550,ISIC_0029306,nv,follow_up,45.0,male,trunk",
    "HAM_0000550,ISIC_0024306,nv,follow_up,45.0,male,trunk",
    "HAM_0003577,ISIC_0024307,mel,histo,,unknown,unknown",
)


def ham10000(
    root: Path, *, name: str = "HAM10000_metadata.csv", start: bytes = b"", end: str = "\n", comma: str = ","
) -> None:
    ids = ("ISIC_0024306", "ISIC_0024307", "ISIC_0029306")
    touch(root / "HAM10000_images_part_1", [f"{name}.jpg" for name in ids[:2]])
    touch(root / "HAM10000_images_part_2", [f"{name}.jpg" for name in ids[2:]])
    touch(root / "HAM10000_segmentations_lesion_tschandl", [f"{name}_segmentation.png" for name in ids])
    table(root / name, *(line.replace(",", comma) for line in HAM10000), start=start, end=end)


def isic2016(root: Path) -> None:
    for part, ids in (("Training", ("0000000", "0000001")), ("Test", ("0000003",))):
        for task in ("Part1", "Part3"):
            touch(root / f"ISBI2016_ISIC_{task}_{part}_Data", [f"ISIC_{name}.jpg" for name in ids])
        touch(root / f"ISBI2016_ISIC_Part1_{part}_GroundTruth", [f"ISIC_{name}_Segmentation.png" for name in ids])
    table(root / "ISBI2016_ISIC_Part3_Training_GroundTruth.csv", "ISIC_0000000,benign", "ISIC_0000001,malignant")
    table(root / "ISBI2016_ISIC_Part3_Test_GroundTruth.csv", "ISIC_0000003,1.0")


def isic2017(root: Path) -> None:
    parts = {"Training": ("0000000,0.0,0.0", "0000001,1.0,0.0"), "Validation": ("0001769,0,1",),
             "Test_v2": ("0012086,0.0,0.0", "0012092,1.0,0.0")}  # fmt: skip
    for part, lines in parts.items():
        ids = [line.partition(",")[0] for line in lines]
        touch(root / f"ISIC-2017_{part}_Data", [f"ISIC_{name}.jpg" for name in ids])
        touch(root / f"ISIC-2017_{part}_Data", [f"ISIC_{name}_superpixels.png" for name in ids])
        touch(root / f"ISIC-2017_{part}_Part1_GroundTruth", [f"ISIC_{name}_segmentation.png" for name in ids])
        table(root / f"ISIC-2017_{part}_Part3_GroundTruth.csv", "image_id,melanoma,seborrheic_keratosis",
              *(f"ISIC_{line}" for line in lines))  # fmt: skip
        told = [f"ISIC_{ids[0]},55,female", *(f"ISIC_{name},unknown,unknown" for name in ids[1:])]
        table(root / f"ISIC-2017_{part}_Data" / f"ISIC-2017_{part}_Data_metadata.csv", "image_id,age_approximate,sex",
              *told)  # fmt: skip


def isic2018_task1(root: Path, parts=("Training", "Validation")) -> None:
    for part, ids in (("Training", ("0000000", "0000001")), ("Validation", ("0012255",)), ("Test", ("0012169",))):
        if part in parts:
            names = [f"ISIC_{name}" for name in ids]
            touch(root / f"ISIC2018_Task1-2_{part}_Input", ["ATTRIBUTION.txt", *(f"{name}.jpg" for name in names)])
            touch(root / f"ISIC2018_Task1_{part}_GroundTruth", [f"{name}_segmentation.png" for name in names])
            touch(root / f"ISIC2018_Task2_{part}_GroundTruth_v3", [f"{name}_attribute_globules.png" for name in names])


def isic2018_task3(root: Path, *, all_parts: bool = False) -> None:
    header = "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC"
    touch(root / "ISIC2018_Task3_Training_Input", [f"ISIC_00243{number:02}.jpg" for number in range(6, 9)])
    table(root / "ISIC2018_Task3_Training_GroundTruth" / "ISIC2018_Task3_Training_GroundTruth.csv", header,
          "ISIC_0024306,0.0,1.0,0.0,0.0,0.0,0.0,0.0", "ISIC_0024307,0.0,0.0,0.0,1.0,0.0,0.0,0.0",
          "ISIC_0024308,0.0,0.0,0.0,0.0,0.0,0.0,1.0")  # fmt: skip
    table(root / "ISIC2018_Task3_Training_LesionGroupings.csv", "image,lesion_id,diagnosis_confirm_type",
          "ISIC_0024306,HAM_0000550,serial imaging showing no change", "ISIC_0024307,HAM_0003577,histopathology",
          "ISIC_0024308,HAM_0003577,histopathology")  # fmt: skip
    if all_parts:
        for part, name in (("Validation", "ISIC_0034321"), ("Test", "ISIC_0034524")):
            touch(root / f"ISIC2018_Task3_{part}_Input", [f"{name}.jpg"])
            truth = f"ISIC2018_Task3_{part}_GroundTruth"
            table(root / truth / f"{truth}.csv", header + ",score_weight,validation_weight",
                  f"{name},1.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,0.0")  # fmt: skip


def isic2019(root: Path) -> None:
    touch(root / "ISIC_2019_Training_Input" / "ISIC_2019_Training_Input",
          ["ISIC_0000000_downsampled.jpg", "ISIC_0024306.jpg", "ISIC_0053454.jpg", "ISIC_0053455.jpg"])  # fmt: skip
    table(root / "ISIC_2019_Training_GroundTruth.csv", "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK",
          "ISIC_0000000_downsampled,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0",
          "ISIC_0024306,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0",
          "ISIC_0053454,0.0,0.0,0.0,1.0,0.0,0.0,0.0,0.0,0.0",
          "ISIC_0053455,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,0.0")  # fmt: skip
    table(root / "ISIC_2019_Training_Metadata.csv", "image,age_approx,anatom_site_general,lesion_id,sex",
          "ISIC_0000000_downsampled,55.0,anterior torso,,female", "ISIC_0024306,45.0,posterior torso,HAM_0000550,male",
          "ISIC_0053454,85.0,Head/Neck,BCN_0000001,male", "ISIC_0053455,,,BCN_0000001,")  # fmt: skip


def isic2020(root: Path) -> None:
    touch(root / "isic2020" / "train", ["ISIC_2637011.jpg", "ISIC_0015719.jpg"])
    table(root / "isic2020" / "ISIC_2020_Training_GroundTruth_v2.csv",
          "image_name,patient_id,lesion_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target",
          "ISIC_2637011,IP_7279968,IL_7972535,male,45.0,head/neck,unknown,benign,0",
          "ISIC_0015719,IP_3075186,IL_4649854,female,45.0,upper extremity,melanoma,malignant,1")  # fmt: skip


PH2_TEXT = (
    "|| Name || Histological Diagnosis || Clinical Diagnosis || Asymmetry || Colors ||",
    "|| IMD003 ||                        ||          0         ||     0     || 4    ||",
    "|| IMD002 ||                        ||          1         ||     1     || 4    ||",
    "|| IMD058 || Superficial spreading  ||          2         ||     0     || 4    ||",
    "Legends for:",
    "Clinical Diagnosis:",
    "0 - Common Nevus; 1 - Atypical Nevus; 2 - Melanoma",
)
PH2_MARKS = {"IMD003": 0, "IMD002": 1, "IMD058": 2}


def ph2_images(root: Path) -> None:
    for name in PH2_MARKS:
        case = root / "PH2Dataset" / "PH2 Dataset images" / name
        touch(case / f"{name}_Dermoscopic_Image", [f"{name}.bmp"])
        touch(case / f"{name}_lesion", [f"{name}_lesion.bmp"])
        touch(case / f"{name}_roi", [f"{name}_R1_Label4.bmp"])


def ph2_spreadsheet(root: Path, marks: dict[str, int] | None = None) -> Path:
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    sheet.append([])
    sheet.append([None, None, None, "Legends"])
    sheet.append([None, None, None, "Asymmetry", 0, "Fully Simmetric"])
    sheet.append([None, None, "Clinical Diagnosis"])
    sheet.append(
        ["Image Name", "Histological Diagnosis", "Common Nevus", "Atypical Nevus", "Melanoma", "Asymmetry\n(0/1/2)"]
    )
    for name, mark in (marks or PH2_MARKS).items():
        sheet.append([name, None, *("X" if mark == column else None for column in range(3)), 0])
    path = root / "PH2Dataset" / "PH2_dataset.xlsx"
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)
    return path


def ph2(root: Path) -> None:
    ph2_images(root)
    ph2_spreadsheet(root)


def brain_tumor(root: Path) -> None:
    for part in ("Training", "Testing"):
        for label in ("glioma", "meningioma", "notumor", "pituitary"):
            touch(root / part / label, [f"{part}-{label}-{number}.jpg" for number in range(2)])


def image_folder(root: Path) -> None:
    touch(root / "Chest X-ray", ["a.png", "b.JPG"])
    touch(root / "Skull", ["a.png", "c.tif", "Thumbs.db"])
