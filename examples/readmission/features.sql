-- One row in, one row out: what is known about a stay on the day it ends.
-- Codes become words by the code book, diagnoses chapters of ICD-9; ? was made null, the word None was not.
select
    race,
    gender,
    cast(substring(age, 2, strpos(age, '-') - 2) as integer) + 5 as years,
    t.kind as admission_type,
    s.kind as admission_source,
    d.description as discharged_to,
    d.kind as discharge,
    payer_code,
    medical_specialty,
    time_in_hospital,
    num_lab_procedures,
    num_procedures,
    num_medications,
    num_medications / time_in_hospital as medications_a_day,
    number_outpatient,
    number_emergency,
    number_inpatient,
    number_emergency + number_inpatient as unplanned_visits,
    number_diagnoses,
    diag_1,
    diag_2,
    diag_3,
    i1.chapter as chapter_1,
    i2.chapter as chapter_2,
    i3.chapter as chapter_3,
    max_glu_serum,
    a1c,
    insulin,
    metformin,
    if(insulin = 'No', 0, 1) + if(metformin = 'No', 0, 1) + if(glipizide = 'No', 0, 1)
        + if(glyburide = 'No', 0, 1) + if(glimepiride = 'No', 0, 1) + if(pioglitazone = 'No', 0, 1)
        + if(rosiglitazone = 'No', 0, 1) + if(repaglinide = 'No', 0, 1) as diabetes_medicines,
    if(insulin in ('Up', 'Down'), 1, 0) + if(metformin in ('Up', 'Down'), 1, 0)
        + if(glipizide in ('Up', 'Down'), 1, 0) + if(glyburide in ('Up', 'Down'), 1, 0)
        + if(glimepiride in ('Up', 'Down'), 1, 0) + if(pioglitazone in ('Up', 'Down'), 1, 0)
        + if(rosiglitazone in ('Up', 'Down'), 1, 0) + if(repaglinide in ('Up', 'Down'), 1, 0) as doses_changed,
    change = 'Ch' as medicines_changed,
    diabetes_medicine = 'Yes' as takes_diabetes_medicine
from request
left join admission_types t on t.id = admission_type_id
left join admission_sources s on s.id = admission_source_id
left join discharges d on d.id = discharge_disposition_id
left join icd9 i1 on i1.category = left(diag_1, 3)
left join icd9 i2 on i2.category = left(diag_2, 3)
left join icd9 i3 on i3.category = left(diag_3, 3)
