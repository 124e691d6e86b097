-- Messages that were accepted, shared out among the vendors in turn, each with its row in the queue.
INSERT INTO campaigns (_uid, created_at, vendors__id, status, title, template_name, template_language,
    scheduled_at, timezone, __data)
SELECT UUID(), UTC_TIMESTAMP(), _id, 1, 'benchmark', 'spring_offer', 'en', UTC_TIMESTAMP(), 'UTC',
    JSON_OBJECT()
FROM vendors;

INSERT INTO contacts (_uid, created_at, vendors__id, wa_id)
SELECT UUID(), UTC_TIMESTAMP(), v._id, CONCAT('9991', LPAD(seq, 8, '0'))
FROM seq_0_to_{last}
JOIN (SELECT _id, ROW_NUMBER() OVER (ORDER BY _id) - 1 AS place FROM vendors) v
    ON v.place = seq % {vendors};

INSERT INTO whatsapp_message_queue (_uid, created_at, vendors__id, campaigns__id, contacts__id, status,
    scheduled_at, phone_with_country_code, retries, __data)
SELECT UUID(), UTC_TIMESTAMP(), c.vendors__id, k._id, c._id, 4, UTC_TIMESTAMP(), c.wa_id, 0,
    JSON_OBJECT()
FROM contacts c
JOIN campaigns k ON k.vendors__id = c.vendors__id AND k.title = 'benchmark'
WHERE c.wa_id LIKE '9991%'
ORDER BY c._id;

INSERT INTO whatsapp_message_logs (_uid, created_at, vendors__id, contacts__id, campaigns__id, status,
    wamid, contact_wa_id, wab_phone_number_id, is_incoming_message, __data)
SELECT UUID(), UTC_TIMESTAMP(), q.vendors__id, q.contacts__id, q.campaigns__id, 'accepted',
    CONCAT('wamid.BENCH', q.phone_with_country_code), q.phone_with_country_code, '{number}', 0,
    JSON_OBJECT()
FROM whatsapp_message_queue q
JOIN campaigns k ON k._id = q.campaigns__id AND k.title = 'benchmark'
