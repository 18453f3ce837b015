-- Known at: the last entry that was recorded by a time; 0 before the first.
-- For psql, say first which book and which time:
-- \set book 'main'
-- \set time '2026-04-10 17:00:00+00'
-- Times of recording never run backwards within a book, so that halving finds it in a few steps without an index.
WITH RECURSIVE halves (low, high) AS (
    SELECT CAST(0 AS bigint), number FROM heads WHERE book = :'book'
    UNION ALL
    SELECT
        CASE WHEN e.recorded_at <= CAST(:'time' AS timestamptz) THEN e.number ELSE h.low END,
        CASE WHEN e.recorded_at <= CAST(:'time' AS timestamptz) THEN h.high ELSE e.number - 1 END
    FROM halves AS h
    JOIN entries AS e ON e.book = :'book' AND e.number = (h.low + h.high + 1) / 2
    WHERE h.low < h.high
)
SELECT low AS number FROM halves WHERE low = high;
