// The hybrid's front: takes webhooks into a queue, and campaigns as PHP hands out their rows.
import express from 'express';
import { KEEP, client, queues } from './common.mjs';

const { webhooks, messages } = queues();
const answersFirst = process.env.ANSWER === 'first';
const app = express();
app.disable('x-powered-by');
app.set('etag', false);
app.use(express.json({ limit: '5mb' }));

function enqueue(request) {
    // The analysis gives customers' messages priority, but by a field that statuses have as well.
    const value = request.body.entry?.[0]?.changes?.[0]?.value;
    return webhooks.add(
        'process',
        { vendorUid: request.params.vendorUid, payload: request.body, timestamp: Date.now() },
        { ...KEEP, priority: value?.messages ? 1 : 2 },
    );
}

app.post('/whatsapp-webhook/:vendorUid', async (request, response) => {
    if (answersFirst) {
        response.status(200).send('OK');
        await enqueue(request).catch((error) => console.error('lost', error.message));
    } else {
        await enqueue(request);
        response.status(200).send('OK');
    }
});

app.post('/campaigns', async (request, response) => {
    let count = 0;
    for (;;) {
        const { data } = await client.post('/internal/due-messages', { rows: 500 });
        if (data.length === 0) break;
        await messages.addBulk(data.map((row) => ({ name: 'send', data: row, opts: KEEP })));
        count += data.length;
    }
    response.json({ count });
});

const server = app.listen(Number(process.env.PORT), '127.0.0.1', () => {
    console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
process.on('SIGTERM', () => process.exit(0));
