// What both processes of the hybrid share: queues, and connections that are kept.
import { Agent } from 'node:http';
import axios from 'axios';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';

/** BullMQ has its workers ask for ever (null); a queue in front of a client gives up after a few. */
export function redis(maxRetriesPerRequest) {
    // The commands of one turn of the event loop go in one write.
    return new Redis(process.env.REDIS_URL, { maxRetriesPerRequest, enableAutoPipelining: true });
}

export function queues() {
    const connection = redis(20);
    return {
        webhooks: new Queue('whatsapp-webhooks', { connection }),
        messages: new Queue('campaign-messages', { connection }),
    };
}

/** Calls PHP, or whoever has the whole address. */
export const client = axios.create({
    baseURL: process.env.PHP_URL,
    httpAgent: new Agent({ keepAlive: true, maxSockets: 256 }),
    maxBodyLength: 64 * 1024 * 1024,
    proxy: false,
});

export const KEEP = {
    removeOnComplete: true,
    attempts: 3,
    backoff: { type: 'exponential', delay: 2000 },
};
