// The hybrid's worker: a request to PHP for each webhook, and for each message that was sent.
import { Worker } from 'bullmq';
import { client, redis } from './common.mjs';

const rate = Number(process.env.RATE);

/** As many as PHP can have under way. */
const concurrency = Number(process.env.CONCURRENCY);

const workers = [
    new Worker(
        'whatsapp-webhooks',
        async (job) => {
            const { vendorUid, payload } = job.data;
            await client.post(`/internal/process-webhook/${vendorUid}`, payload);
        },
        { connection: redis(null), concurrency },
    ),
    new Worker(
        'campaign-messages',
        async (job) => {
            const { queueUid, token, url, message } = job.data;
            const { status, data } = await client.post(url, message, {
                headers: { Authorization: `Bearer ${token}` },
                validateStatus: () => true,
            });
            await client.post('/internal/update-message-status', { queueUid, status, answer: data });
        },
        // In tenths of a second: a whole second's messages at once would be throttled.
        {
            connection: redis(null),
            concurrency: Math.max(concurrency, Math.ceil(rate / 20)),
            limiter: { max: Math.max(1, Math.floor(rate / 10)), duration: 100 },
        },
    ),
];
for (const worker of workers) {
    worker.on('failed', (job, error) => console.error('failed', job?.name, error.message));
    worker.on('error', (error) => console.error(error.message));
}
await Promise.all(workers.map((worker) => worker.waitUntilReady()));
console.log('working on webhooks and messages');
process.on('SIGTERM', () => process.exit(0));
