-- One row a run and key: how it ended, and its best values with the steps where they were reached.
SELECT
    entity, project, run_id, key,
    count(*) AS points,
    arg_max(value, step) AS last_value,
    min(value) AS lowest, arg_min(step, value) AS lowest_at,
    max(value) AS highest, arg_max(step, value) AS highest_at
FROM {{ source('mirror', 'metrics') }}
WHERE isfinite(value)
GROUP BY ALL
