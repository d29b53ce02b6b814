-- Runs that ended, by their lowest loss, with the learning rate that they had.
SELECT
    r.entity, r.project, r.run_id, r.display_name, r.state,
    c.value AS lr,
    m.lowest AS loss, m.lowest_at AS step,
    rank() OVER (PARTITION BY r.entity, r.project ORDER BY m.lowest) AS place
FROM {{ source('mirror', 'runs') }} AS r
JOIN {{ ref('metric_of_run') }} AS m ON (m.entity, m.project, m.run_id, m.key) = (r.entity, r.project, r.run_id, 'loss')
LEFT JOIN {{ source('mirror', 'config_values') }} AS c
    ON (c.entity, c.project, c.run_id, c.key) = (r.entity, r.project, r.run_id, 'lr')
WHERE r.state = 'finished' AND r.gone_at IS NULL
